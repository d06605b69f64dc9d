"""What is left and what is written in a fresh Debian root."""

from collections.abc import Callable
from pathlib import Path

import pytest

from insula.storage.builders.aptsources import AptSource, parse_deb822
from insula.storage.builders.debianguest import finish
from insula.storage.builders.imagebuilder import Recipe

Files = dict[str, str]
BUILT: Files = {
    "etc/hostname": "buildhost\n",
    "etc/resolv.conf": "nameserver 192.0.2.1\n",
    "etc/machine-id": "uninitialized\n",
    "var/lib/dbus/machine-id": "6d2a8a1e3b1f4a5c9a531c1f6fd0a001\n",
    "etc/apt/apt.conf.d/99mmdebstrap": 'Acquire::http::Proxy "http://127.0.0.1:1";\n',
    "etc/apt/sources.list.d/0000main.sources": "Types: deb\n",
    "etc/dpkg/dpkg.cfg.d/99mmdebstrap": "force-unsafe-io\n",
    "etc/default/placeholder": "",
    "etc/ssh/ssh_host_ed25519_key": "secret",
    "etc/ssh/ssh_host_ed25519_key.pub": "public",
    "etc/ssh/sshd_config": "",
    "usr/sbin/sshd": "",
    "var/log/dpkg.log": "installed\n",
    "dev/null": "",
    "dev/pts/ptmx": "",
}


@pytest.fixture
def finished(tmp_path: Path) -> Callable[..., Path]:
    def finish_with(
        without: str = "", sources: tuple[AptSource, ...] = (), settings: tuple[str, ...] = (), **options: str
    ) -> Path:
        root = tmp_path / "rootfs"
        for name, text in BUILT.items():
            if name != without:
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text)
        recipe = Recipe(builder="debian", options=tuple({"distribution": "debian", **options}.items()))
        finish(root, recipe=recipe, sources=sources, settings=settings)
        return root

    return finish_with


def test_nothing_of_the_build_or_the_host_stays(finished: Callable[..., Path]) -> None:
    root = finished()
    for name in ("etc/hostname", "var/lib/dbus/machine-id", "var/log/dpkg.log", "etc/dpkg/dpkg.cfg.d/99mmdebstrap"):
        assert not (root / name).exists(), name
    assert list((root / "dev").iterdir()) == []
    assert list((root / "etc/apt/apt.conf.d").iterdir()) == []
    assert [each.name for each in (root / "etc/apt/sources.list.d").iterdir()] == ["debian.sources"]


def test_identity_is_left_to_the_guest(finished: Callable[..., Path]) -> None:
    root = finished()
    assert (root / "etc/machine-id").read_text() == ""
    assert (root / "etc/resolv.conf").read_text() == ""
    assert "127.0.0.1 localhost" in (root / "etc/hosts").read_text()
    assert [each.name for each in (root / "etc/ssh").iterdir() if each.is_file()] == ["sshd_config"]


def test_a_guest_with_an_ssh_server_makes_its_own_keys(finished: Callable[..., Path]) -> None:
    drop_in = finished() / "etc/systemd/system/ssh.service.d/insula-host-keys.conf"
    assert "ExecStartPre=/usr/bin/ssh-keygen -A\n" in drop_in.read_text()


def test_a_guest_without_one_has_no_such_drop_in(finished: Callable[..., Path]) -> None:
    assert not (finished(without="usr/sbin/sshd") / "etc/systemd/system/ssh.service.d").exists()


def test_the_guest_keeps_the_archives_and_gets_keys_it_lacks(finished: Callable[..., Path], tmp_path: Path) -> None:
    keyring = tmp_path / "corp.gpg"
    keyring.write_bytes(b"key")
    source = AptSource(
        uris=("http://mirror.example",),
        suites=("trixie",),
        components=("main",),
        options=(("Signed-By", str(keyring)),),
    )
    root = finished(sources=(source,), settings=('Acquire::Check-Valid-Until "false";',))
    assert parse_deb822((root / "etc/apt/sources.list.d/debian.sources").read_text()) == [source]
    assert (root / keyring.relative_to("/")).read_bytes() == b"key"
    assert "Check-Valid-Until" in (root / "etc/apt/apt.conf.d/80host").read_text()


def test_a_slim_guest_stays_slim_when_it_is_upgraded(finished: Callable[..., Path]) -> None:
    root = finished(slim="yes")
    assert "path-exclude=/usr/share/man/*" in (root / "etc/dpkg/dpkg.cfg.d/80slim").read_text()


def test_the_console_logs_in_by_itself_only_when_asked_to(finished: Callable[..., Path]) -> None:
    drop_in = "etc/systemd/system/console-getty.service.d/insula-autologin.conf"
    assert not (finished() / drop_in).exists()
    assert "--autologin root" in (finished(console="autologin") / drop_in).read_text()
