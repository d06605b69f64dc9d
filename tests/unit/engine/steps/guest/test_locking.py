"""Tests of insula.engine.steps.guest.locking: mounts are real ones, in namespaces of the test's own."""

import errno
import os
from pathlib import Path

from insula.engine.steps.guest.locking import LockMounts
from insula.kernel.fds import AT_FDCWD
from insula.kernel.mounts import Propagation, attach, change, detach, make_filesystem
from tests.descriptors import open_fds
from tests.unit.engine.steps.guest.performing import guest, perform
from tests.unit.engine.steps.inchild import in_namespaces


def mounted(directory: Path) -> None:
    place = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    attach(make_filesystem("tmpfs", []), place)
    os.close(place)


def taken_off(directory: Path) -> str:
    try:
        detach(str(directory))
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "taken off"


def test_what_was_mounted_before_stays_and_what_is_mounted_later_comes_off(tmp_path: Path) -> None:
    before, later = tmp_path / "before", tmp_path / "later"
    before.mkdir()
    later.mkdir()

    def lock() -> tuple[str, str, bool]:
        change(AT_FDCWD, "/", propagation=Propagation.PRIVATE, recursive=True)
        mounted(before)
        inside = guest(below=os.open("/", os.O_PATH | os.O_DIRECTORY))
        perform(inside, LockMounts(why="test"))
        mounted(later)
        return taken_off(before), taken_off(later), os.path.samestat(os.fstat(inside.root), os.stat("/"))

    assert in_namespaces(lock) == ("EINVAL", "taken off", True)


def test_no_process_and_no_fd_is_left_over() -> None:
    def lock() -> tuple[bool, bool]:
        inside = guest(below=os.open("/", os.O_PATH | os.O_DIRECTORY))
        before = len(open_fds())
        perform(inside, LockMounts(why="test"))
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return True, len(open_fds()) == before
        return False, False

    assert in_namespaces(lock) == (True, True)
