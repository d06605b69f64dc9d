"""Pseudo terminals out of a given devpts, and their windows."""

import errno
import fcntl
import os
import select
import struct
import termios

from insula.kernel.fds import Fd

# Source: asm-generic/ioctls.h; the termios module does not name them.
TIOCGPTN = 0x80045430
TIOCSPTLCK = 0x40045431
TIOCGPTPEER = 0x5441

WINDOW_MAX = 65535
"""The most rows or columns a terminal can have: struct winsize holds 16 bits."""


def open_multiplexer() -> Fd:
    """Return a new non-blocking master of this process's own devpts, its slave unlocked."""
    master = os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.ioctl(master, TIOCSPTLCK, struct.pack("i", 0))
    except BaseException:
        os.close(master)
        raise
    return Fd(master)


def slave_path(master: int, slave: int) -> str:
    """Return the path at which this process finds the slave of a master.

    Raises: OSError(ENXIO) if something else is there: another devpts than the master's is mounted.
    """
    path = path_in_devpts(master)
    found, meant = os.stat(path, follow_symlinks=False), os.fstat(slave)
    if (found.st_dev, found.st_rdev) != (meant.st_dev, meant.st_rdev):
        raise OSError(errno.ENXIO, "the terminal is in another devpts than the one that is mounted", path)
    return path


def path_in_devpts(master: int) -> str:
    """Return the usual path of a master's slave: pts(4)."""
    return f"/dev/pts/{number_of(master)}"


def is_hung_up(master: int) -> bool:
    """Return whether nobody has the slave open that was open once: poll(2), POLLHUP."""
    poller = select.poll()
    poller.register(master, 0)
    return bool(poller.poll(0))


def has_input(slave: int) -> bool:
    """Return whether bytes wait to be read; unlike FIONREAD it sees those that the kernel has yet to bring there."""
    poller = select.poll()
    poller.register(slave, select.POLLIN)
    return bool(poller.poll(0))


def free_terminals() -> int:
    """Return how many more terminals guests can have, all guests together: proc_sys_kernel(5), pty/max and pty/nr.

    kernel.pty.reserve of the maximum are for the host's own devpts alone.
    """
    return _pty_number("max") - _pty_number("reserve") - _pty_number("nr")


def _pty_number(name: str) -> int:
    fd = os.open(f"/proc/sys/kernel/pty/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return int(os.read(fd, 32))
    finally:
        os.close(fd)


def number_of(master: int) -> int:
    """Return the name of a master's slave in its devpts: ioctl_tty(2), TIOCGPTN."""
    number: int = struct.unpack("i", fcntl.ioctl(master, TIOCGPTN, struct.pack("i", 0)))[0]
    return number


def open_slave(master: int) -> Fd:
    """Return the slave of a master, whatever is mounted where: ioctl TIOCGPTPEER, since Linux 4.13."""
    return Fd(fcntl.ioctl(master, TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))


def window(terminal: int) -> tuple[int, int]:
    """Return rows and columns."""
    rows, columns, _, _ = struct.unpack("HHHH", fcntl.ioctl(terminal, termios.TIOCGWINSZ, bytes(8)))
    return rows, columns


def set_window(terminal: int, rows: int, columns: int) -> None:
    """Set rows and columns; the terminal's foreground processes get SIGWINCH.

    Raises: OSError(EINVAL) beyond WINDOW_MAX.
    """
    if not (0 <= rows <= WINDOW_MAX and 0 <= columns <= WINDOW_MAX):
        raise OSError(errno.EINVAL, f"a terminal cannot have {rows} rows and {columns} columns")
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
