"""Steps that give the guest its consoles, or an entering process its terminal."""

import os
import stat
from dataclasses import dataclass
from typing import ClassVar

from insula.engine.steps.guest.gueststep import ChildContext, GuestStep
from insula.kernel.beneath import open_beneath, place
from insula.kernel.fds import Fd
from insula.kernel.mounts import attach, detached_copy
from insula.kernel.pty import open_master, open_slave, set_window, take_terminal

_PTMX = os.makedev(5, 2)


@dataclass(frozen=True, kw_only=True, slots=True)
class MakeConsoles(GuestStep):
    """Open terminals of the guest's own devpts, and show them as /dev/console and /dev/tty1 and so on."""

    phrase: ClassVar[str] = "open {count} console(s) and show them as /dev/console and /dev/tty1…"

    count: int

    def perform(self, context: ChildContext) -> None:
        devpts = open_beneath(context.root, "dev/pts", os.O_RDONLY | os.O_DIRECTORY)
        try:
            for number in range(1, self.count + 1):
                master, slave = open_master(devpts)
                context.terminals.append(master)
                self._show(context.root, devpts, slave, f"dev/tty{number}")
                if number == 1:
                    self._show(context.root, devpts, slave, "dev/console")
        finally:
            os.close(devpts)

    @staticmethod
    def _show(root: Fd, devpts: Fd, slave: int, path: str) -> None:
        mount = detached_copy(str(slave), directory=devpts)
        target = place(root, path, directory=False)
        attach(mount, target)
        os.close(target)
        os.close(mount)


@dataclass(frozen=True, kw_only=True, slots=True)
class MakeTerminal(GuestStep):
    """Open a terminal in the guest's own devpts for a process that enters. rows, columns: of its window."""

    phrase: ClassVar[str] = "open a terminal of {rows} rows and {columns} columns"

    rows: int
    columns: int

    def perform(self, context: ChildContext) -> None:
        devpts = os.open("/dev/pts", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # The guest may have put anything in its place; only the kernel's own multiplexer is one.
            found = os.stat("ptmx", dir_fd=devpts, follow_symlinks=False)
            if not stat.S_ISCHR(found.st_mode) or found.st_rdev != _PTMX:
                raise FileNotFoundError(2, "the guest has no terminals: no multiplexer", "/dev/pts/ptmx")
            master, _ = open_master(devpts)
        finally:
            os.close(devpts)
        context.terminals.append(master)
        set_window(master, self.rows, self.columns)


@dataclass(frozen=True, kw_only=True, slots=True)
class TakeTerminal(GuestStep):
    """Lead a session with the first terminal as fds 0 to 2; without any, on nothing.

    controlling: it is the session's controlling terminal too, so that a shell has job control. Not for an init that
    starts a getty on it: nobody inside could take it from init's session.
    """

    phrase: ClassVar[str] = "lead a session on the first terminal, or on nothing"

    controlling: bool

    def __str__(self) -> str:
        # super() means the class as it was before it got slots.
        text = GuestStep.__str__(self)
        return f"{text}, and control jobs from it" if self.controlling else text

    def perform(self, context: ChildContext) -> None:
        os.setsid()
        if not context.terminals:
            null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
            for number in range(3):
                os.dup2(null, number)
            os.close(null)
            return
        slave = open_slave(context.terminals[0])
        if self.controlling:
            take_terminal(slave)
        for number in range(3):
            os.dup2(slave, number)
        os.close(slave)


@dataclass(frozen=True, kw_only=True, slots=True)
class TakeStreams(GuestStep):
    """Lead a session without a terminal, with passed fds as standard input, output and error."""

    phrase: ClassVar[str] = "lead a session on the given streams"

    def perform(self, context: ChildContext) -> None:
        os.setsid()
        for number, name in enumerate(("stdin", "stdout", "stderr")):
            os.dup2(context.fds[name], number)
