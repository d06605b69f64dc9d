"""Tests of insula.engine.steps.guest.ownboot: what the kernel would make up stands in plain files."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from insula.engine.steps.guest.ownboot import ShowBootId, ShowUncovered
from insula.engine.steps.guest.protections import ProtectPaths
from insula.engine.steps.guest.roottree import AttachRoot, KeepMountsPrivate, MountFilesystem
from insula.kernel.mounts import detached_copy
from tests.unit.engine.steps.guest.performing import Us, guest, perform
from tests.unit.engine.steps.inchild import in_namespaces

T = TypeVar("T")
MADE_UP = "c7a5fdbd-cdaf-9455-926a-d65c16db1809\n"
RANDOM = "proc/sys/kernel/random"


@pytest.fixture
def host(tmp_path: Path) -> Path:
    (tmp_path / "root" / RANDOM).mkdir(parents=True)
    (tmp_path / "root" / RANDOM / "uuid").write_text(MADE_UP)
    (tmp_path / "root" / RANDOM / "boot_id").write_text("the host's\n")
    (tmp_path / "root/dev").mkdir()
    (tmp_path / "root/sys/fs/cgroup").mkdir(parents=True)
    (tmp_path / "place").mkdir()
    return tmp_path


def in_guest(host: Path, work: Callable[[Us, Path], T]) -> T:
    def attach_and_work() -> T:
        perform(guest(), KeepMountsPrivate(why="test"))
        us = guest(root=detached_copy(str(host / "root")))
        perform(us, AttachRoot(why="test", source="root", place=str(host / "place")))
        return work(us, host / "place")

    return in_namespaces(attach_and_work)


def test_a_boot_id_is_made_up_and_cannot_be_written(host: Path) -> None:
    def work(us: Us, root: Path) -> tuple[str, bool, int]:
        perform(us, ShowBootId(why="test"))
        shown = root / RANDOM / "boot_id"
        return shown.read_text(), os.access(shown, os.W_OK), (root / "dev/.insula").stat().st_mode & 0o777

    assert in_guest(host, work) == (MADE_UP, False, 0o700)
    assert (host / "root" / RANDOM / "boot_id").read_text() == "the host's\n"


def test_a_tree_is_shown_without_its_covers_and_writable(host: Path) -> None:
    def work(us: Us, root: Path) -> tuple[list[str], bool, bool]:
        perform(us, ProtectPaths(why="test", paths=["sys"], writable=[]))
        perform(us, MountFilesystem(why="test", fstype="tmpfs", target="sys/fs", options=[], attributes=[]))
        perform(us, ShowUncovered(why="test", source="sys"))
        uncovered = root / "dev/.insula/sys"
        return os.listdir(uncovered / "fs"), os.access(uncovered, os.W_OK), os.access(root / "sys", os.W_OK)

    assert in_guest(host, work) == (["cgroup"], True, False)
