"""Tests of insula.kernel.partsofmounts."""

import os
from pathlib import Path

import pytest

from insula.kernel.mounts import make_filesystem
from insula.kernel.partsofmounts import part_of
from tests.unit.engine.steps.inchild import in_namespaces


def test_one_file_of_a_file_system_becomes_a_mount_and_nobody_sees_how() -> None:
    def take() -> tuple[str, bool, bool]:
        tree = make_filesystem("tmpfs")
        os.close(os.open("word", os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=tree))
        before = Path("/proc/self/mountinfo").read_text()
        inode = os.stat("word", dir_fd=tree).st_ino
        part = part_of(tree, "word")
        same = Path("/proc/self/mountinfo").read_text() == before
        os.close(tree)
        return os.readlink(f"/proc/self/fd/{part}"), os.fstat(part).st_ino == inode, same

    name, is_it, unseen = in_namespaces(take)
    assert (is_it, unseen) == (True, True)
    assert name.startswith("/")


def test_what_is_not_there_is_an_error_that_names_it() -> None:
    def take() -> str:
        with pytest.raises(FileNotFoundError) as failed:
            part_of(make_filesystem("tmpfs"), "nothing")
        return str(failed.value)

    assert "No such file or directory" in in_namespaces(take)
