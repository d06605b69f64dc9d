"""A guest whose root is a copy of a tree of the host's, in namespaces of the test's own; what is mounted in it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from insula.engine.steps.guest.roottree import AttachRoot, KeepMountsPrivate
from insula.kernel.mounts import detached_copy
from tests.unit.engine.steps.guest.performing import Us, guest, perform
from tests.unit.engine.steps.inchild import in_namespaces

T = TypeVar("T")


def in_guest(host: Path, work: Callable[[Us, Path], T]) -> T:
    """Return what work does with a guest whose root is a copy of the tree, seen at the path it gets."""

    def attach_and_work() -> T:
        perform(guest(), KeepMountsPrivate(why="test"))
        us = guest(root=detached_copy(str(host / "root")))
        perform(us, AttachRoot(why="test", source="root", place=str(host / "place")))
        fds = os.open("/proc/self/fd", os.O_RDONLY)
        before, known = len(os.listdir(fds)), len(us.fds)
        result = work(us, host / "place")
        assert len(os.listdir(fds)) - before == len(us.fds) - known, "fds are left open"
        return result

    return in_namespaces(attach_and_work)


def mount_options(path: Path) -> set[str]:
    """Return the options of the mount whose top is at path. Source: proc_pid_mountinfo(5)."""
    lines = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    found = [set(line[5].split(",")) for line in lines if line[4] == str(path)]
    assert found, f"nothing is mounted at {path}"
    return found[-1]


def is_mount(path: Path) -> bool:
    return any(line.split()[4] == str(path) for line in Path("/proc/self/mountinfo").read_text().splitlines())
