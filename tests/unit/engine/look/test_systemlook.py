"""What a guest's own files say of it, in a directory that stands for its root; guests are in tests/e2e."""

import os
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from insula.engine.accounts import lines_below
from insula.engine.look import systemlook
from insula.engine.look.systemlook import USERS_MAX, names, release, tell_system, users, zone
from insula.kernel.fds import Fd

RELEASE = """# by hand
NAME="Debian GNU/Linux"
PRETTY_NAME='Debian GNU/Linux 12 (bookworm)'
VERSION_ID="12"
ID=debian
HOME_URL="https://www.debian.org/"
VARIANT="not closed
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for each in ("etc", "usr/lib", "usr/share/zoneinfo/Asia", "run/systemd/sessions"):
        (tmp_path / each).mkdir(parents=True)
    return tmp_path


@pytest.fixture
def root(tree: Path) -> Iterator[Fd]:
    descriptor = Fd(os.open(tree, os.O_PATH | os.O_DIRECTORY))
    yield descriptor
    os.close(descriptor)


def zone_file(offset: int, name: bytes) -> bytes:
    """A time zone that was never another. Source: tzfile(5)."""
    block = struct.pack(">lbb", offset, 0, 0) + name + b"\0"
    one = b"TZif2" + bytes(15) + struct.pack(">6l", 0, 0, 0, 0, 1, len(name) + 1) + block
    return one + one + b"\n\n"


def session(tree: Path, number: int, **said: str) -> None:
    text = "".join(f"{name}={value}\n" for name, value in said.items())
    (tree / f"run/systemd/sessions/{number}").write_text(text)


def test_the_release_is_what_its_file_says_and_a_line_that_is_none_is_passed_over(tree: Path, root: Fd) -> None:
    (tree / "usr/lib/os-release").write_text(RELEASE)
    os.symlink("../usr/lib/os-release", tree / "etc/os-release")
    told = release(lines_below(root))
    assert told == {
        "NAME": "Debian GNU/Linux",
        "PRETTY_NAME": "Debian GNU/Linux 12 (bookworm)",
        "VERSION_ID": "12",
        "ID": "debian",
    }
    (tree / "etc/os-release").unlink()
    assert release(lines_below(root)) == told
    (tree / "usr/lib/os-release").write_text("ID=" + "x" * 1000)
    assert len(release(lines_below(root))["ID"]) == systemlook.TEXT_MAX


def test_a_zone_is_called_as_its_link_says_or_as_it_calls_itself(tree: Path, root: Fd) -> None:
    assert zone(root) == {"name": "UTC", "offset": 0}
    (tree / "usr/share/zoneinfo/Asia/Kolkata").write_bytes(zone_file(19800, b"IST"))
    os.symlink("/usr/share/zoneinfo/Asia/Kolkata", tree / "etc/localtime")
    assert zone(root) == {"name": "Asia/Kolkata", "offset": 19800}
    (tree / "etc/localtime").unlink()
    (tree / "etc/localtime").write_bytes(zone_file(-3600, b"ABC"))
    assert zone(root) == {"name": "ABC", "offset": -3600}


def day_long_zone() -> bytes:
    """A zone that is a whole day ahead, which no time can be."""
    return zone_file(0, b"ABC").removesuffix(b"\n\n") + b"\n<A>-24\n"


@pytest.mark.parametrize("content", [b"", b"TZif", b"TZif2" + bytes(39), b"garbage" * 100, day_long_zone()])
def test_a_zone_that_is_none_is_not_told(tree: Path, root: Fd, content: bytes) -> None:
    (tree / "etc/localtime").write_bytes(content)
    assert zone(root) is None


def test_who_is_logged_in_is_in_utmp_or_in_logind_sessions_since_the_first(
    tree: Path, root: Fd, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [(7, b"ann", 2000), (7, b"bob", 500), (8, b"gone", 1), (7, b"", 1), (7, b"ann", 1000)]
    packed = [
        systemlook._RECORD.pack(kind, 1, b"tty1", b"1", name, b"", 0, 0, 0, seconds, 0, b"")
        for kind, name, seconds in records
    ]
    (tree / "run/utmp").write_bytes(b"".join(packed) + b"cut short")
    session(tree, 1, USER="carl", CLASS="user", REALTIME="3000000000")
    session(tree, 2, USER="bob", CLASS="user", REALTIME="400000000")
    session(tree, 3, USER="gdm", CLASS="greeter", REALTIME="1")
    session(tree, 4, USER="nobody", CLASS="user", REALTIME="soon")
    session(tree, 5, USER="root", CLASS="user-early", REALTIME="7000000")
    session(tree, 6, USER="half", CLASS="user-incomplete", REALTIME="1")
    session(tree, 7, USER="clock", CLASS="manager", REALTIME="1")
    assert users(root) == {"ann": 1000, "bob": 400, "carl": 3000, "root": 7}


def test_the_host_is_called_what_its_files_say(tree: Path, root: Fd) -> None:
    assert names(lines_below(root)) == {}
    (tree / "etc/hostname").write_text("# ours\n\n web \nother\n")
    (tree / "etc/machine-info").write_text("CHASSIS=server\nPRETTY_HOSTNAME='The web'\n")
    assert names(lines_below(root)) == {"static": "web", "pretty": "The web"}
    (tree / "etc/hostname").unlink()
    os.mkfifo(tree / "etc/hostname")
    assert names(lines_below(root)) == {"pretty": "The web"}
    (tree / "etc/machine-info").write_text("PRETTY_HOSTNAME=" + "x" * 1000)
    assert len(names(lines_below(root))["pretty"]) == systemlook.TEXT_MAX


def test_there_is_an_end_to_users(tree: Path, root: Fd) -> None:
    for number in range(USERS_MAX + 10):
        session(tree, number, USER=f"u{number}", CLASS="user", REALTIME="1000000")
    assert len(users(root)) == USERS_MAX


def test_all_is_told_of_the_root_that_is_visited(tree: Path, root: Fd, monkeypatch: pytest.MonkeyPatch) -> None:
    def visited(arguments: Mapping[str, Any], fds: Mapping[str, Fd]) -> Fd:
        return root

    monkeypatch.setattr(systemlook, "visit", visited)
    told = tell_system({}, {})
    utc = {"name": "UTC", "offset": 0}
    assert told == {"os": {}, "kernel": told["kernel"], "zone": utc, "users": {}, "names": {}}
    assert told["kernel"]["kernel-release"] == os.uname().release
