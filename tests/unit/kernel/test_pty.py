"""Tests of insula.kernel.pty."""

import os
from collections.abc import Iterator

import pytest

from insula.kernel import pty
from insula.kernel.mounts import make_filesystem
from tests.unit.engine.steps.inchild import in_namespaces


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    master, slave = os.openpty()
    yield master, slave
    os.close(master)
    os.close(slave)


def test_a_window_has_the_size_that_was_set(terminal: tuple[int, int]) -> None:
    pty.set_window(terminal[0], 33, 99)
    assert pty.window(terminal[1]) == (33, 99)


def test_the_slave_of_a_master_is_opened_without_its_path(terminal: tuple[int, int]) -> None:
    slave = pty.open_slave(terminal[0])
    assert os.ttyname(slave) == os.ttyname(terminal[1])
    assert not os.get_inheritable(slave)
    os.close(slave)


def test_what_is_no_terminal_has_no_window() -> None:
    with open("/dev/null") as null, pytest.raises(OSError, match="Inappropriate ioctl"):
        pty.window(null.fileno())


def test_a_directory_without_a_multiplexer_gives_no_master() -> None:
    empty = os.open("/proc/self", os.O_RDONLY | os.O_DIRECTORY)
    with pytest.raises(FileNotFoundError):
        pty.open_master(empty)
    os.close(empty)


def test_a_terminal_becomes_controlling_only_for_who_leads_a_session(terminal: tuple[int, int]) -> None:
    pid = os.fork()
    if pid == 0:
        os.setsid()
        pty.take_terminal(terminal[1])
        os._exit(0 if os.tcgetpgrp(terminal[1]) == os.getpgrp() else 1)
    assert os.waitpid(pid, 0)[1] == 0


def test_a_terminal_of_a_given_devpts_has_its_number_there() -> None:
    def make() -> tuple[list[int], str, bool, bool]:
        mount = make_filesystem("devpts", [("ptmxmode", "0666"), ("mode", "0620")])
        devpts = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=mount)
        (first, number), (_, second) = pty.open_master(devpts), pty.open_master(devpts)
        slave = os.open(str(number), os.O_RDWR | os.O_NOCTTY, dir_fd=devpts)
        os.write(slave, b"said")
        same = os.fstat(pty.open_slave(first)).st_ino == os.fstat(slave).st_ino
        return [number, second], os.read(first, 99).decode(), same, os.get_inheritable(first)

    assert in_namespaces(make) == ([0, 1], "said", True, False)
