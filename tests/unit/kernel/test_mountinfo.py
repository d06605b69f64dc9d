import os
from pathlib import Path

import pytest

from insula.kernel.mountinfo import Mount, mountinfo_of, mounts_in, mounts_of_process

LINES = """\
22 27 0:21 / /proc rw,relatime shared:12 master:3 - proc proc rw
30 27 8:1 /a\\040b /mnt/tab\\011\\134x ro - ext4 /dev/disk\\040one rw,errors=remount-ro
31 27 0:44 / /empty rw - tmpfs  rw,size=4k
"""


def test_a_line_is_taken_apart_and_what_the_kernel_escaped_is_plain() -> None:
    proc, bound, empty = mounts_in(LINES)
    assert proc.tags == ("shared:12", "master:3")
    assert bound == Mount(
        id=30,
        parent=27,
        device="8:1",
        root="/a b",
        point="/mnt/tab\t\\x",
        options="ro",
        tags=(),
        kind="ext4",
        source="/dev/disk one",
        super_options="rw,errors=remount-ro",
    )
    assert (empty.kind, empty.source, empty.super_options) == ("tmpfs", "", "rw,size=4k")


@pytest.mark.parametrize("end", ["\r", "\x0b", "\x1c", "\x85", "\u2028", "\udc80"])
def test_a_name_cannot_end_a_line(end: str) -> None:
    (found,) = mounts_in(f"31 27 0:44 / /a{end}b rw - tmpfs x{end}y rw\n")
    assert (found.point, found.source) == (f"/a{end}b", f"x{end}y")


def test_names_of_a_process_are_told_whatever_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_bytes", lambda path: b"31 27 0:44 / /a\rb\xff rw - tmpfs x rw\n")
    assert [each.point for each in mounts_of_process()] == ["/a\rb\udcff"]


def test_our_own_mounts_are_those_of_our_process() -> None:
    assert mounts_of_process() == mounts_of_process(os.getpid()) != []
    with pytest.raises(FileNotFoundError):
        mounts_of_process(1 << 30)


def test_a_process_that_has_ended_and_is_not_collected_yet_is_gone() -> None:
    pid = os.posix_spawn("/bin/true", ["true"], {})
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(ProcessLookupError, match="has ended"):
            mountinfo_of(pid)
    finally:
        os.waitpid(pid, 0)
