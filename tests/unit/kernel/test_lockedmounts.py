"""Tests of insula.kernel.lockedmounts."""

import os
from pathlib import Path

import pytest

from insula.kernel import lockedmounts
from insula.kernel.fds import NO_FD
from insula.kernel.lockedmounts import locked_copy
from insula.kernel.mounts import MountAttribute, change, make_filesystem
from tests.unit.engine.steps.inchild import in_namespaces


def test_a_locked_copy_is_of_the_same_tree_and_nobody_sees_how_it_is_made() -> None:
    def take() -> tuple[bool, bool, bool]:
        tree = make_filesystem("tmpfs")
        change(tree, add=MountAttribute.READ_ONLY)
        before = Path("/proc/self/mountinfo").read_text()
        top = os.fstat(tree)
        copy = locked_copy(tree)
        same = Path("/proc/self/mountinfo").read_text() == before
        return os.path.samestat(top, os.fstat(copy)), same, bool(os.fstatvfs(copy).f_flag & os.ST_RDONLY)

    assert in_namespaces(take) == (True, True, True)


def test_what_refuses_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(kinds: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(lockedmounts, "unshare", refuse)
    with pytest.raises(PermissionError, match="the mount cannot be locked: Operation not permitted"):
        locked_copy(NO_FD)
