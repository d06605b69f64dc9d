"""Tests of insula.kernel.mounts, as far as they need no privilege; tests/system has the others."""

import ctypes
import errno
import os
from pathlib import Path

import pytest

from insula.kernel.fds import AT_FDCWD
from insula.kernel.mounts import (
    MountAttribute,
    MountAttributes,
    OpenTree,
    Propagation,
    attach,
    change,
    detach,
    detached_copy,
    make_filesystem,
    map_ids,
    open_tree,
    pivot_root,
)
from tests.unit.engine.steps.inchild import in_namespaces


def test_an_fd_of_a_place_is_opened_without_copying_it(tmp_path: Path) -> None:
    fd = open_tree(AT_FDCWD, str(tmp_path), OpenTree.CLOEXEC)
    assert os.fstat(fd).st_ino == tmp_path.stat().st_ino
    os.close(fd)


def test_a_missing_place_is_named() -> None:
    with pytest.raises(FileNotFoundError, match="open_tree: No such file or directory: '/no/such/place'"):
        open_tree(AT_FDCWD, "/no/such/place", OpenTree.CLOEXEC)


def test_a_file_system_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(OSError, match=r"nonsense|not permitted"):
        make_filesystem("nonsense")


def test_what_is_no_detached_mount_cannot_be_mapped(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_PATH)
    namespace = os.open("/proc/self/ns/user", os.O_RDONLY)
    with pytest.raises(OSError, match="mount_setattr"):
        map_ids(fd, namespace)
    os.close(namespace)
    os.close(fd)


def test_a_root_that_is_no_mount_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="pivot_root"):
        pivot_root(str(tmp_path), str(tmp_path))


def test_the_attributes_structure_has_the_kernels_size() -> None:
    assert ctypes.sizeof(MountAttributes) == 32


def test_a_detached_copy_is_changed_alone_and_then_attached(tmp_path: Path) -> None:
    (tmp_path / "source/below").mkdir(parents=True)
    (tmp_path / "target").mkdir()

    def mount() -> tuple[bool, bool, list[str], list[str]]:
        change(AT_FDCWD, "/", propagation=Propagation.PRIVATE, recursive=True)
        copy = detached_copy(str(tmp_path / "source"))
        change(copy, add=MountAttribute.READ_ONLY)
        target = os.open(tmp_path / "target", os.O_PATH)
        attach(copy, target)
        read_only = [bool(os.statvfs(tmp_path / name).f_flag & os.ST_RDONLY) for name in ("source", "target")]
        shown = os.listdir(tmp_path / "target")
        detach(str(tmp_path / "target"))
        return read_only[0], read_only[1], shown, os.listdir(tmp_path / "target")

    assert in_namespaces(mount) == (False, True, ["below"], [])


def test_attributes_are_given_and_taken() -> None:
    def flags() -> list[bool]:
        made = make_filesystem("tmpfs", attributes=MountAttribute.NO_EXEC | MountAttribute.NO_SUID)
        before = os.fstatvfs(made).f_flag
        change(made, add=MountAttribute.NO_DEVICES, remove=MountAttribute.NO_EXEC)
        after = os.fstatvfs(made).f_flag
        return [bool(each & flag) for each in (before, after) for flag in (os.ST_NOEXEC, os.ST_NOSUID, os.ST_NODEV)]

    assert in_namespaces(flags) == [True, True, False, False, True, True]


def test_a_file_system_says_itself_what_it_does_not_like() -> None:
    def make() -> None:
        make_filesystem("tmpfs", [("size", "64k"), ("nonsense", "1")])

    with pytest.raises(OSError, match=r"^\[Errno 22\] tmpfs: .*\(.*nonsense.*\)") as caught:
        in_namespaces(make)
    assert caught.value.errno == errno.EINVAL
