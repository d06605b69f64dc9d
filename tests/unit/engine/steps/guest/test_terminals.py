"""Tests of insula.engine.steps.guest.terminals."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from insula.engine.steps.guest.terminals import MakeConsoles, MakeTerminal, TakeStreams, TakeTerminal
from insula.kernel import pty
from insula.kernel.beneath import place
from insula.kernel.fds import AT_FDCWD, Fd, memory_file
from insula.kernel.mounts import Propagation, attach, change, make_filesystem
from tests.descriptors import open_fds
from tests.unit.engine.steps.guest.performing import guest, perform
from tests.unit.engine.steps.inchild import in_child, in_namespaces

T = TypeVar("T")


def in_root(tmp_path: Path, work: Callable[[Fd], T]) -> T:
    """Return what work does with the root of a tree that has terminals of its own at /dev/pts."""

    def prepare_and_work() -> T:
        change(AT_FDCWD, "/", propagation=Propagation.PRIVATE, recursive=True)
        tree = make_filesystem("tmpfs", [("mode", "755")])
        where = os.open(tmp_path, os.O_PATH)
        attach(tree, where)
        attach(make_filesystem("devpts", [("ptmxmode", "0666"), ("mode", "0620")]), place(tree, "dev/pts"))
        return work(tree)

    return in_namespaces(prepare_and_work)


def echoed(master: int, slave: int, text: bytes) -> bool:
    """Return whether what is written to a slave comes out of a master."""
    os.write(slave, text)
    return os.read(master, 100) == text


def test_every_console_is_a_terminal_of_the_guest_and_the_first_is_the_console(tmp_path: Path) -> None:
    def make(root: Fd) -> None:
        us = guest(below=root)
        perform(us, MakeConsoles(why="test", count=3))
        assert len(us.terminals) == 3
        for number, master in enumerate(us.terminals, 1):
            names = [f"{tmp_path}/dev/tty{number}"] + [f"{tmp_path}/dev/console"] * (number == 1)
            for name in names:
                slave = os.open(name, os.O_RDWR | os.O_NOCTTY)
                assert os.isatty(slave)
                assert os.fstat(slave).st_ino == os.stat(f"{tmp_path}/dev/pts/{number - 1}").st_ino
                assert echoed(master, slave, name.encode())
                os.close(slave)
        assert not any(os.get_inheritable(master) for master in us.terminals)

    in_root(tmp_path, make)


def test_no_fd_but_the_masters_stays_open(tmp_path: Path) -> None:
    def make(root: Fd) -> None:
        us = guest(below=root)
        before = len(open_fds())
        perform(us, MakeConsoles(why="test", count=2))
        assert len(open_fds()) == before + 2

    in_root(tmp_path, make)


def test_a_link_where_a_console_goes_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path.with_suffix(".victim")
    victim.write_text("untouched")

    def make(root: Fd) -> None:
        os.symlink(str(victim), "dev/tty1", dir_fd=root)
        perform(guest(below=root), MakeConsoles(why="test", count=1))

    with pytest.raises(OSError, match="symbolic links") as caught:
        in_root(tmp_path, make)
    assert caught.value.errno == errno.ELOOP
    assert victim.read_text() == "untouched"


def test_consoles_need_the_guests_terminals(tmp_path: Path) -> None:
    root = os.open(tmp_path, os.O_PATH)
    with pytest.raises(FileNotFoundError):
        perform(guest(below=root), MakeConsoles(why="test", count=1))
    os.close(root)


def test_a_terminal_of_the_guest_has_the_window_that_was_asked_for(tmp_path: Path) -> None:
    def make(root: Fd) -> tuple[tuple[int, int], int, str]:
        os.chroot(tmp_path)
        us = guest(below=root)
        perform(us, MakeTerminal(why="test", rows=33, columns=99))
        (master,) = us.terminals
        slave = pty.open_slave(master)
        return pty.window(master), os.fstat(slave).st_rdev, os.ttyname(slave)

    window, device, name = in_root(tmp_path, make)
    assert (window, name) == ((33, 99), "/dev/pts/0")
    assert os.major(device) == 136


@pytest.mark.parametrize("forged", ["missing", "file", "fifo", "link"])
def test_a_multiplexer_that_the_guest_has_forged_is_no_terminal(tmp_path: Path, forged: str) -> None:
    (tmp_path / "dev/pts").mkdir(parents=True)
    where = tmp_path / "dev/pts/ptmx"
    match forged:
        case "file":
            where.touch()
        case "fifo":
            os.mkfifo(where)
        case "link":
            where.symlink_to("/dev/ptmx")
            (tmp_path / "dev/ptmx").touch()

    def make() -> None:
        os.chroot(tmp_path)
        perform(guest(), MakeTerminal(why="test", rows=24, columns=80))

    with pytest.raises(FileNotFoundError):
        in_namespaces(make)


@pytest.mark.parametrize("controlling", [True, False])
def test_the_first_terminal_becomes_the_standard_streams_of_a_new_session(controlling: bool) -> None:
    master, slave = os.openpty()

    def take() -> None:
        us = guest()
        us.terminals.append(Fd(master))
        perform(us, TakeTerminal(why="test", controlling=controlling))
        assert os.getsid(0) == os.getpid()
        assert {os.fstat(number).st_ino for number in range(3)} == {os.fstat(slave).st_ino}
        assert all(os.get_inheritable(number) for number in range(3))
        if controlling:
            assert os.tcgetpgrp(0) == os.getpgrp()
        else:
            with pytest.raises(OSError, match="Inappropriate ioctl"):
                os.tcgetpgrp(0)

    in_child(take)
    os.close(master)
    os.close(slave)


def test_without_a_terminal_the_streams_are_nothing() -> None:
    def take() -> None:
        before = len(open_fds())
        perform(guest(), TakeTerminal(why="test", controlling=True))
        assert os.getsid(0) == os.getpid()
        null = os.stat("/dev/null")
        assert {os.fstat(number).st_rdev for number in range(3)} == {null.st_rdev}
        assert all(stat.S_ISCHR(os.fstat(number).st_mode) for number in range(3))
        assert len(open_fds()) == before

    in_child(take)


def test_who_leads_a_session_already_cannot_lead_another() -> None:
    def take() -> None:
        os.setsid()
        perform(guest(), TakeTerminal(why="test", controlling=False))

    with pytest.raises(PermissionError):
        in_child(take)


def test_passed_streams_become_the_standard_ones() -> None:
    names = ("stdin", "stdout", "stderr")
    files = {name: memory_file(name, name.encode()) for name in names}

    def take() -> None:
        perform(guest(**files), TakeStreams(why="test"))
        assert os.getsid(0) == os.getpid()
        assert [os.pread(number, 99, 0).decode() for number in range(3)] == list(names)
        assert all(os.get_inheritable(number) for number in range(3))

    in_child(take)
    for fd in files.values():
        os.close(fd)
