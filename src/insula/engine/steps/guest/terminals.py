"""Steps that give the guest its consoles, or an entering process its terminal."""

import errno
import os
import struct
import termios
from dataclasses import dataclass
from typing import ClassVar

from insula.engine.program.assembly import Argument, Result
from insula.engine.program.builder import Builder
from insula.engine.steps.guest.gueststep import GuestStep
from insula.kernel.beneath import STRICT, Resolve
from insula.kernel.pty import TIOCGPTN, TIOCGPTPEER, TIOCSPTLCK

_DEVPTS = 0x1CD1
"""Source: linux/magic.h."""
_MULTIPLEXER = os.O_RDWR | os.O_NOCTTY


@dataclass(frozen=True, kw_only=True, slots=True)
class MakeConsoles(GuestStep):
    """Open terminals of the guest's own devpts, and show them as /dev/console and /dev/tty1 and so on."""

    phrase: ClassVar[str] = "open {count} console(s) and show them as /dev/console and /dev/tty1…"

    count: int

    def compile(self, program: Builder) -> None:
        root = program.rooted()
        devpts = program.open_beneath(root, "dev/pts", os.O_RDONLY | os.O_DIRECTORY)
        for number in range(1, self.count + 1):
            numbered_master(program, devpts, number - 1)
            for path in (f"dev/tty{number}", *(("dev/console",) if number == 1 else ())):
                mount = program.detached_copy(str(number - 1), directory=devpts)
                target = program.place(root, path, directory=False)
                program.attach(mount, target)
                program.close(target)
                program.close(mount)
        program.close(devpts)


def numbered_master(program: Builder, devpts: Argument, number: int) -> Result:
    """Return a new terminal's master, one of those that the keeper is given; its slave has this name.

    In a file system that nobody else has seen yet, terminals are numbered from 0 on.
    """
    master = _unlocked_master(program, devpts)
    slave = program.room(4)
    program.call("ioctl", master, TIOCGPTN, slave)
    program.require(slave, number, means="somebody else has opened terminals here", code=errno.EEXIST)
    program.terminals.append(master)
    return master


def _unlocked_master(program: Builder, devpts: Argument) -> Result:
    """Return a new terminal's master; the multiplexer is the one of that file system itself, whatever is on top."""
    master = program.open_beneath(
        devpts,
        "ptmx",
        _MULTIPLEXER,
        resolve=STRICT | Resolve.NO_OTHER_MOUNTS,
        means="the guest has no terminals: no multiplexer ({error})",
        about="/dev/pts/ptmx",
    )
    program.call("ioctl", master, TIOCSPTLCK, program.constant(bytes(4)))
    return master


@dataclass(frozen=True, kw_only=True, slots=True)
class MakeTerminal(GuestStep):
    """Open a terminal in the guest's own devpts for a process that enters. rows, columns: of its window."""

    phrase: ClassVar[str] = "open a terminal of {rows} rows and {columns} columns"

    rows: int
    columns: int

    def compile(self, program: Builder) -> None:
        devpts = program.open("/dev/pts", os.O_RDONLY | os.O_DIRECTORY)
        # The guest may have put anything in its place; only the kernel's own multiplexer is one.
        means = "the guest has no terminals: this is no devpts: /dev/pts"
        program.require_filesystem(devpts, _DEVPTS, means=means, code=errno.ENOENT)
        master = _unlocked_master(program, devpts)
        program.close(devpts)
        program.terminals.append(master)
        window = program.constant(struct.pack("HHHH", self.rows, self.columns, 0, 0))
        program.call("ioctl", master, termios.TIOCSWINSZ, window)


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

    def compile(self, program: Builder) -> None:
        program.call("setsid")
        if not program.terminals:
            null = program.open("/dev/null", os.O_RDWR)
            for number in range(3):
                program.put_at(null, number)
            program.close(null)
            return
        slave = program.call("ioctl", program.terminals[0], TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        if self.controlling:
            program.call("ioctl", slave, termios.TIOCSCTTY, 0)
        for number in range(3):
            program.put_at(slave, number)
        program.close(slave)


@dataclass(frozen=True, kw_only=True, slots=True)
class TakeStreams(GuestStep):
    """Lead a session without a terminal, with passed fds as standard input, output and error."""

    phrase: ClassVar[str] = "lead a session on the given streams"

    def compile(self, program: Builder) -> None:
        program.call("setsid")
        for number, name in enumerate(("stdin", "stdout", "stderr")):
            program.put_at(program.passed(name), number)
