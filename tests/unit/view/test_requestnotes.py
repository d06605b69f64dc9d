"""Notes that the next view reads: what was being answered, and who waits."""

import os
from collections.abc import Iterator

import pytest

from insula.kernel.fds import Fd
from insula.view.requestnotes import WAITERS_MAX, RequestNotes, Waiter, WaiterKind, make_memory


@pytest.fixture
def memory() -> Iterator[Fd]:
    made = make_memory()
    yield made
    os.close(made)


def waiter(name: int) -> Waiter:
    return Waiter(WaiterKind.READER, 100, name, 2, 3, 4)


def test_what_was_read_and_not_answered_is_there_for_the_next(memory: Fd) -> None:
    ours, theirs = os.pipe()
    os.write(theirs, b"\x08\0\0\0abcd")
    first = RequestNotes(memory)
    assert first.underway() is None
    assert first.receive(ours) == b"\x08\0\0\0abcd"
    first.close()
    second = RequestNotes(memory)
    assert second.underway() == b"\x08\0\0\0abcd"
    second.settled()
    assert RequestNotes(memory).underway() is None
    os.close(ours)
    os.close(theirs)


def test_who_waits_is_there_for_the_next_until_removed(memory: Fd) -> None:
    first = RequestNotes(memory)
    assert first.add(waiter(1))
    assert first.add(waiter(1)), "noted once"
    assert first.add(Waiter(WaiterKind.POLLER, 0, 9, 2, 3, 4))
    second = RequestNotes(memory)
    assert second.waiters() == first.waiters()
    assert len(second.waiters()) == 2
    second.remove(waiter(1))
    assert [each.name for each in RequestNotes(memory).waiters()] == [9]


def test_no_more_wait_than_there_are_places(memory: Fd) -> None:
    notes = RequestNotes(memory)
    assert all(notes.add(waiter(name)) for name in range(1, WAITERS_MAX + 1))
    assert not notes.add(waiter(WAITERS_MAX + 1))
    notes.remove(waiter(5))
    assert notes.add(waiter(WAITERS_MAX + 1))


def test_a_file_that_is_too_short_is_refused() -> None:
    fd = os.memfd_create("short")
    with pytest.raises((ValueError, OSError)):
        RequestNotes(fd)
    os.close(fd)
