"""Tests of insula.kernel.fds."""

import os
import resource

import pytest

from insula.kernel import fds
from insula.kernel.fds import (
    NO_FD,
    CloseRange,
    Fd,
    Reserve,
    close_all,
    close_range,
    contents,
    duplicate,
    keep_only,
    memory_file,
    sealed_file,
)


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def null() -> Fd:
    return Fd(os.open("/dev/null", os.O_RDONLY))


def test_a_range_is_closed_from_first_to_last() -> None:
    high = 900
    for fd in range(high, high + 3):
        os.dup2(0, fd)
    close_range(high, high + 1, CloseRange.NOW)
    assert [is_open(fd) for fd in range(high, high + 3)] == [False, False, True]
    os.close(high + 2)


def test_a_range_can_be_marked_to_close_on_exec_only() -> None:
    fd = os.dup2(0, 900, inheritable=True)
    close_range(fd, fd, CloseRange.CLOEXEC)
    assert not os.get_inheritable(fd)
    os.close(fd)


def test_closing_all_passes_over_what_is_closed() -> None:
    first, second = null(), null()
    os.close(first)
    close_all([NO_FD, first, second])
    assert not is_open(second)


def test_a_duplicate_closes_on_exec_and_lives_on() -> None:
    fd = null()
    copy = duplicate(fd)
    os.close(fd)
    assert is_open(copy)
    assert not os.get_inheritable(copy)
    os.close(copy)


@pytest.mark.parametrize("content", [b"", b"short", bytes(range(256)) * 1000])
def test_a_memory_file_holds_its_content_wherever_its_offset_is(content: bytes) -> None:
    fd = memory_file("test", content)
    os.lseek(fd, 0, os.SEEK_END)
    assert contents(fd) == content
    os.lseek(fd, 0, os.SEEK_SET)
    assert os.read(fd, 5) == content[:5]
    os.close(fd)


def test_all_but_some_are_closed_in_a_child() -> None:
    reader, writer = os.pipe()
    other = os.open(os.devnull, os.O_RDONLY)
    pid = os.fork()
    if pid == 0:
        keep_only((writer,))
        left = {each for each in (reader, writer, other) if _is_open(each)}
        os._exit(0 if left == {writer} else 1)
    os.close(writer)
    os.close(reader)
    os.close(other)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def test_a_reserve_is_given_to_a_block_and_is_whole_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    reserve = Reserve(3)
    held = set(reserve._fds)
    assert all(is_open(fd) for fd in held)
    with reserve.spent():
        assert all(is_open(fd) for fd in held)  # there are plenty
    monkeypatch.setattr(fds, "_OWN_FDS", "/dev/null")
    with reserve.spent(), reserve.spent():
        assert not any(is_open(fd) for fd in held)
    assert len(reserve._fds) == 3
    reserve.check(5)
    reserve.close()
    assert not any(is_open(fd) for fd in held)


@pytest.mark.parametrize("told", [True, False])
def test_a_reserve_says_when_too_few_are_free(told: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """told: whether the kernel tells how many descriptors are open."""
    if not told:
        monkeypatch.setattr(fds, "_OWN_FDS", "/dev/null")
    reserve = Reserve(1)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = [os.dup(0) for _ in range(8)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (free[-1] + 1, before[1]))
    try:
        close_all(free[4:])
        reserve.check(4)
        with pytest.raises(OSError, match="Too many open files"):
            reserve.check(5)
        close_all(free[:4])
        reserve.check(8)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        reserve.close()


def test_a_sealed_file_stays_as_it_is() -> None:
    fd = sealed_file("sealed", b"content")
    try:
        for change in (
            lambda: os.pwrite(fd, b"x", 0),
            lambda: os.ftruncate(fd, 0),
            lambda: os.ftruncate(fd, 100),
            lambda: os.close(os.open(f"/proc/self/fd/{fd}", os.O_RDWR | os.O_TRUNC)),
        ):
            with pytest.raises(PermissionError):
                change()
        assert contents(fd) == b"content"
    finally:
        os.close(fd)
