"""The user's own terminal: raw mode that is always given back, its size, and copying to and from it."""

import contextlib
import fcntl
import os
import signal
import struct
import sys
import termios
import tty
from collections.abc import Iterator
from types import FrameType

ESCAPE = b"\x1d"
"""Ctrl-], as virsh has it."""
_CHUNK = 65536


def is_terminal(fd: int) -> bool:
    return os.isatty(fd)


def confirmed(question: str, *, usually: bool = False) -> bool:
    """Ask yes or no; return the answer, usually if it is empty, and False where nobody can answer."""
    if not is_terminal(0):
        return False
    sys.stderr.write(f"{question} [{'Y/n' if usually else 'y/N'}] ")
    sys.stderr.flush()
    answer = sys.stdin.readline()
    return answer.strip().lower() in ("y", "yes") or (usually and answer.strip() == "" and answer != "")


def window_size(fd: int = 0) -> tuple[int, int]:
    """Return (rows, columns) of a terminal, (24, 80) of anything else."""
    try:
        rows, columns, _, _ = struct.unpack("HHHH", fcntl.ioctl(fd, termios.TIOCGWINSZ, b"\0" * 8))
    except OSError:
        return 24, 80
    return rows or 24, columns or 80


def end_of_file(*, line_open: bool) -> bytes:
    """Return the keys that end a terminal's input. line_open: the first only hands over what the last line has.

    Source: VEOF in termios(3).
    """
    return b"\x04\x04" if line_open else b"\x04"


def resize(fd: int, rows: int, columns: int) -> None:
    """Set a pty's window size; its foreground processes get SIGWINCH (tty_ioctl(4))."""
    with contextlib.suppress(OSError):
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


@contextlib.contextmanager
def raw(fd: int = 0) -> Iterator[None]:
    """Put a terminal in raw mode until the block ends, however it ends; anything else is left alone.

    What was typed before is for whoever reads now: it is not thrown away.
    """
    if not is_terminal(fd):
        yield
        return
    before = termios.tcgetattr(fd)
    tty.setraw(fd, termios.TCSADRAIN)
    try:
        yield
    finally:
        with contextlib.suppress(termios.error):  # it has gone meanwhile
            termios.tcsetattr(fd, termios.TCSADRAIN, before)


@contextlib.contextmanager
def waking(*signals: int) -> Iterator[int]:
    """Give an fd that becomes readable when one of these signals comes; its bytes are the signals' numbers."""
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    previous = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    handlers = {each: signal.signal(each, _ignore) for each in signals}
    try:
        yield reader
    finally:
        for each, handler in handlers.items():
            signal.signal(each, handler)
        signal.set_wakeup_fd(previous)
        os.close(reader)
        os.close(writer)


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """The wake-up fd tells; Python needs a handler to write to it."""


def read_some(fd: int) -> bytes:
    """Read what is there; b"" at the end, also when a pty's last slave has closed (EIO)."""
    try:
        return os.read(fd, _CHUNK)
    except OSError:
        return b""


def write_all(data: bytes, fd: int = 1) -> None:
    """Write everything, past Python's buffers. Raises: BrokenPipeError when the reader has gone."""
    sys.stdout.flush()
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
