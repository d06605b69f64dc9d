"""Tests of insula.engine.steps.guest.protections: mounts are real ones, in namespaces of the test's own."""

import os
from pathlib import Path

import pytest

from insula.engine.steps.guest.protections import MaskPaths, ProtectPaths
from insula.engine.steps.guest.roottree import AttachMount, MountMemory
from insula.kernel.mounts import detached_copy
from tests.unit.engine.steps.guest.guesttrees import in_guest, mount_options
from tests.unit.engine.steps.guest.performing import Us, perform


def writable(path: Path) -> bool:
    return not os.statvfs(path).f_flag & os.ST_RDONLY


def test_paths_are_protected_with_exceptions_and_missing_ones_passed_over(host: Path) -> None:
    def protect(us: Us, where: Path) -> list[bool]:
        perform(us, MountMemory(why="test", target="/proc/bus", size=None, mode=0o755, read_only=False))
        perform(
            us,
            ProtectPaths(
                why="test",
                paths=["proc/sys", "proc/bus", "proc/missing"],
                writable=["proc/sys/net", "proc/sys/missing", "etc"],
            ),
        )
        return [writable(where / path) for path in ("proc/sys", "proc/bus", "proc/sys/net", "etc", "data")]

    assert in_guest(host, protect) == [False, False, True, True, True]


def test_what_is_hidden_is_empty_or_reads_as_nothing(host: Path) -> None:
    (host / "root/data/secret").write_text("secret")

    def hide(us: Us, where: Path) -> None:
        us.fds["null"] = detached_copy("/dev/null")
        perform(us, AttachMount(why="test", source="null", target="/dev/null"))
        perform(us, MaskPaths(why="test", paths=["data", "etc/file", "proc/missing"]))
        assert os.listdir(where / "data") == []
        assert (where / "etc/file").read_bytes() == b""
        assert not writable(where / "data")
        assert {"ro", "nosuid", "nodev", "noexec"} <= mount_options(where / "data")

    in_guest(host, hide)
    assert (host / "root/data/secret").read_text() == "secret"


@pytest.mark.parametrize(
    "step", [ProtectPaths(why="test", paths=["absolute"], writable=[]), MaskPaths(why="test", paths=["absolute"])]
)
def test_a_link_is_neither_protected_nor_hidden_in_place_of_what_was_meant(
    host: Path, step: ProtectPaths | MaskPaths
) -> None:
    with pytest.raises(OSError, match="symbolic links"):
        in_guest(host, lambda us, where: perform(us, step))
