"""How apt reaches its archives, for the build and for the guest."""

from pathlib import Path

from insula.storage.builders.aptsettings import (
    credential_settings,
    guest_settings,
    host_settings,
    network_settings,
)

DUMP = """Acquire "";
Acquire::cdrom::mount "/media/cdrom/";
Acquire::http "";
Acquire::http::Proxy "http://proxy.example:3128";
Acquire::https::Proxy "http://127.0.0.1:3142";
Acquire::https::CaInfo "/etc/ssl/corp.pem";
Acquire::Retries "5";
Acquire::Check-Valid-Until "false";
Acquire::Languages "none";
""".splitlines()


def test_a_build_gets_what_concerns_the_network() -> None:
    assert network_settings(DUMP) == [
        'Acquire::http::Proxy "http://proxy.example:3128";',
        'Acquire::https::Proxy "http://127.0.0.1:3142";',
        'Acquire::https::CaInfo "/etc/ssl/corp.pem";',
        'Acquire::Retries "5";',
        'Acquire::Check-Valid-Until "false";',
    ]


def test_a_guest_gets_what_holds_there_too() -> None:
    assert guest_settings(network_settings(DUMP)) == [
        'Acquire::http::Proxy "http://proxy.example:3128";',
        'Acquire::Check-Valid-Until "false";',
    ]


def test_credentials_are_used_where_the_host_has_them(tmp_path: Path) -> None:
    assert credential_settings(tmp_path) == []
    (tmp_path / "auth.conf").touch()
    (tmp_path / "auth.conf.d").mkdir()
    assert credential_settings(tmp_path) == [
        f'Dir::Etc::netrc "{tmp_path}/auth.conf";',
        f'Dir::Etc::netrcparts "{tmp_path}/auth.conf.d/";',
    ]


def test_this_hosts_settings_are_lines_of_apt_conf() -> None:
    assert all(line.startswith("Acquire::") and line.endswith('";') for line in host_settings())
