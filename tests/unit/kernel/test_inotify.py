"""Changes of files, as the kernel tells them."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from insula.kernel.fds import Fd
from insula.kernel.inotify import FileEvent, changes, inotify, unwatch, watch


@pytest.fixture
def queue() -> Iterator[Fd]:
    descriptor = inotify()
    yield descriptor
    os.close(descriptor)


def test_a_file_that_is_written_in_place_is_told_and_another_is_not(queue: Fd, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("")
    number = watch(queue, str(one), FileEvent.MODIFIED)
    assert list(changes(queue)) == []
    other.write_text("x")
    assert list(changes(queue)) == []
    one.write_text("x")
    assert {each.watch for each in changes(queue)} == {number}


def test_a_file_that_goes_ends_its_watch(queue: Fd, tmp_path: Path) -> None:
    path = tmp_path / "one"
    path.write_text("")
    watch(queue, str(path), FileEvent.MODIFIED | FileEvent.REMOVED)
    path.unlink()
    told = FileEvent(0)
    for each in changes(queue):
        told |= each.events
    assert FileEvent.REMOVED | FileEvent.IGNORED in told


def test_a_watch_is_given_up_once(queue: Fd, tmp_path: Path) -> None:
    path = tmp_path / "one"
    path.write_text("")
    number = watch(queue, str(path), FileEvent.MODIFIED)
    unwatch(queue, number)
    path.write_text("x")
    assert [each.events for each in changes(queue)] == [FileEvent.IGNORED]
    with pytest.raises(OSError, match="inotify_rm_watch"):
        unwatch(queue, number)


def test_a_file_that_is_not_there_is_named(queue: Fd, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="none"):
        watch(queue, str(tmp_path / "none"), FileEvent.MODIFIED)
