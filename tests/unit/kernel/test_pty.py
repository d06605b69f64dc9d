"""Tests of insula.kernel.pty."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from insula.kernel import pty


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    master, slave = os.openpty()
    yield master, slave
    os.close(master)
    os.close(slave)


def test_a_window_has_the_size_that_was_set(terminal: tuple[int, int]) -> None:
    pty.set_window(terminal[0], 33, 99)
    assert pty.window(terminal[1]) == (33, 99)


@pytest.mark.parametrize("size", [(65536, 80), (24, 65536), (-1, 80)])
def test_a_window_that_no_terminal_can_have_is_refused(terminal: tuple[int, int], size: tuple[int, int]) -> None:
    with pytest.raises(OSError, match="a terminal cannot have"):
        pty.set_window(terminal[0], *size)


def test_a_terminal_of_ours_is_found_at_its_path_and_says_whether_somebody_has_it_open() -> None:
    master = pty.open_multiplexer()
    slave = pty.open_slave(master)
    assert pty.slave_path(master, slave) == os.ttyname(slave) == pty.path_in_devpts(master)
    assert not pty.is_hung_up(master)
    os.close(slave)
    assert pty.is_hung_up(master)
    os.close(master)


def test_a_slave_of_another_terminal_is_not_where_the_path_says(terminal: tuple[int, int]) -> None:
    master = pty.open_multiplexer()
    with pytest.raises(OSError, match="in another devpts"):
        pty.slave_path(master, terminal[1])
    os.close(master)


def test_bytes_that_wait_to_be_read_are_seen(terminal: tuple[int, int]) -> None:
    assert not pty.has_input(terminal[1])
    os.write(terminal[0], b"a line\n")
    assert pty.has_input(terminal[1])


def test_free_terminals_are_fewer_than_the_maximum() -> None:
    assert 0 < pty.free_terminals() < int(Path("/proc/sys/kernel/pty/max").read_text())


def test_the_slave_of_a_master_is_opened_without_its_path(terminal: tuple[int, int]) -> None:
    slave = pty.open_slave(terminal[0])
    assert os.ttyname(slave) == os.ttyname(terminal[1])
    assert not os.get_inheritable(slave)
    os.close(slave)


def test_what_is_no_terminal_has_no_window() -> None:
    with open("/dev/null") as null, pytest.raises(OSError, match="Inappropriate ioctl"):
        pty.window(null.fileno())
