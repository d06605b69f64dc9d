"""Pseudo terminals out of a given devpts, and their windows."""

import fcntl
import os
import struct
import termios

from insula.kernel.fds import Fd

# Source: asm-generic/ioctls.h; the termios module does not name them.
_TIOCGPTN = 0x80045430
_TIOCSPTLCK = 0x40045431
_TIOCGPTPEER = 0x5441


def open_master(devpts: int) -> tuple[Fd, int]:
    """Return a new terminal's master and its number, which is its slave's name in devpts, an fd of that mount."""
    master = os.open("ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC, dir_fd=devpts)
    try:
        fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
        number = number_of(master)
    except BaseException:
        os.close(master)
        raise
    return Fd(master), number


def number_of(master: int) -> int:
    """Return the name of a master's slave in its devpts: ioctl_tty(2), TIOCGPTN."""
    number: int = struct.unpack("i", fcntl.ioctl(master, _TIOCGPTN, struct.pack("i", 0)))[0]
    return number


def open_slave(master: int) -> Fd:
    """Return the slave of a master, whatever is mounted where: ioctl TIOCGPTPEER, since Linux 4.13."""
    return Fd(fcntl.ioctl(master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))


def take_terminal(slave: int) -> None:
    """Make the terminal this session's controlling one; the caller leads a session that has none."""
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)


def window(terminal: int) -> tuple[int, int]:
    """Return rows and columns."""
    rows, columns, _, _ = struct.unpack("HHHH", fcntl.ioctl(terminal, termios.TIOCGWINSZ, bytes(8)))
    return rows, columns


def set_window(terminal: int, rows: int, columns: int) -> None:
    """Set rows and columns; the terminal's foreground processes get SIGWINCH."""
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
