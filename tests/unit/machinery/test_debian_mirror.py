"""The mirror is what the host's apt says, in either style of its configuration."""

from pathlib import Path

import pytest

from tests import debian_mirror

DEB822 = """\
Types: deb
URIs: http://other.example/extra
Suites: stable
Components: main

Types: deb
URIs: http://mirror.example/debian
Suites: {release} {release}-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""

ONE_LINE = """\
deb http://other.example/extra stable main
deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://mirror.example/debian {release} main
"""


@pytest.mark.parametrize(("name", "text"), [("test.sources", DEB822), ("test.list", ONE_LINE)])
def test_the_archive_of_the_hosts_release_is_found(
    name: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / name).write_text(text.format(release=debian_mirror.release_name()))
    (tmp_path / "apt.conf").write_text(
        f'Dir::Etc::sourcelist "/dev/null";\n'
        f'Dir::Etc::sourceparts "{tmp_path}/parts";\n'
        f'Dir::State::lists "{tmp_path}/none-yet";\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    mirror = debian_mirror.host_mirror()
    assert mirror.uri.rstrip("/") == "http://mirror.example/debian"
    assert mirror.source("sid").startswith(
        "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://mirror"
    )
    assert mirror.source("sid").endswith(" sid main")


def test_a_host_without_its_release_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "apt.conf").write_text('Dir::Etc::sourcelist "/dev/null";\nDir::Etc::sourceparts "/dev/null";\n')
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    with pytest.raises(debian_mirror.NoMirrorError, match="no archive with the suite"):
        debian_mirror.host_mirror()


def test_how_apt_reaches_the_network_is_handed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "apt.conf").write_text('Acquire::http::Proxy "http://proxy.example:3128";\nAcquire::Retries "7";\n')
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    assert {'Acquire::http::Proxy "http://proxy.example:3128";', 'Acquire::Retries "7";'} <= set(
        debian_mirror.network_settings()
    )
