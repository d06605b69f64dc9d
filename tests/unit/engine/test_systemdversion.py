"""A systemd's version is read from its program, as it is in the root."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from insula.engine.systemdversion import systemd_version


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "sbin").mkdir()
    fd = os.open(tmp_path, os.O_PATH)
    yield fd
    os.close(fd)


@pytest.mark.parametrize(
    ("content", "version"),
    [
        (b"\x7fELF systemd 219 running in %ssystem mode. (%s)\0", 219),
        (b"\x7fELF systemd 229\0", 229),
        (b"\x7fELF systemd 44\0", 44),
        (b"\x7fELF libsystemd-shared-252.so\0systemd 229\0", 252),
        (b"\x7fELF libsystemd-core-257.so\0", 257),
        (b"\x7fELF libsystemd-shared-255.4-1.fc40.so\0", 255),
        (b"\x7fELF no word of it\0", None),
    ],
)
def test_the_library_or_the_greeting_tells_the_version(
    root: int, tmp_path: Path, content: bytes, version: int | None
) -> None:
    (tmp_path / "systemd").write_bytes(content)
    (tmp_path / "sbin/init").symlink_to("/systemd")
    assert systemd_version(root, "/sbin/init") == version


def test_what_is_no_file_or_not_there_tells_nothing_and_is_not_opened(root: int, tmp_path: Path) -> None:
    assert systemd_version(root, "/sbin/init") is None
    os.mkfifo(tmp_path / "sbin/init")
    assert systemd_version(root, "/sbin/init") is None


def test_a_link_leads_to_nothing_outside(root: int, tmp_path: Path) -> None:
    outside = tmp_path.parent / "outside-systemd"
    outside.write_bytes(b"systemd 219\0")
    (tmp_path / "sbin/init").symlink_to(f"../../{outside.name}")
    assert systemd_version(root, "/sbin/init") is None


def test_an_upgrade_is_seen(root: int, tmp_path: Path) -> None:
    program = tmp_path / "sbin/init"
    program.write_bytes(b"systemd 219\0")
    assert systemd_version(root, "/sbin/init") == 219
    upgraded = tmp_path / "upgraded"
    upgraded.write_bytes(b"libsystemd-shared-252.so\0")
    upgraded.rename(program)
    assert systemd_version(root, "/sbin/init") == 252
