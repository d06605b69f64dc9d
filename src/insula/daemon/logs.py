"""The daemon's log: standard error, one line an event.

Into the journal the lines have the priority prefixes that it understands, anywhere else the time and the priority's
name. Nothing depends on it: what standard error does not take at once (its
disk is full, its reader stands still, it is closed) is counted and left out, and the daemon goes on.
Sources: sd-daemon(3) for the prefixes; systemd.exec(5), JOURNAL_STREAM, for who reads them.
"""

import logging
import os
import select
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from insula.errors import without_errno

_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
_AT_ONCE = 4096
"""Bytes that a pipe takes without waiting once it is writable: PIPE_BUF, pipe(7)."""


class _OneLine(logging.Formatter):
    """Nothing but a line: what has several, such as a traceback, is joined."""

    def format(self, record: logging.LogRecord) -> str:
        return without_errno(super().format(record)).replace("\n", " | ")


class _Journal(_OneLine):
    def format(self, record: logging.LogRecord) -> str:
        return f"<{_PRIORITIES.get(record.levelno, 6)}>{super().format(record)}"


class _NeverWaiting(logging.Handler):
    """Writes lines to an fd as far as it takes them at once. The fd is shared with others: it stays as it is."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd
        self._lost = 0
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if self._lost:
            text = f"{self.format(_about_lost(self._lost))}\n{text}"
        if self._taken(f"{text}\n".encode(errors="backslashreplace")):
            self._lost = 0
        else:
            self._lost += 1

    def _taken(self, data: bytes) -> bool:
        """Write data; return whether at least its beginning was taken."""
        rest = memoryview(data)
        try:
            while rest and self._poll.poll(0):
                rest = rest[os.write(self._fd, rest[:_AT_ONCE]) :]
        except OSError:
            return False
        return len(rest) < len(data)


def _about_lost(count: int) -> logging.LogRecord:
    text = "%d lines of the log could not be written"
    return logging.LogRecord(__name__, logging.WARNING, __file__, 0, text, (count,), None)


def start_logging(level: str, stream: TextIO | None = None) -> None:
    """Send this process's log to stream, standard error by default, from level (its lower-case name) on."""
    target = stream or sys.stderr
    handler = logging.NullHandler() if target is None else _NeverWaiting(target.fileno())
    if target is not None and is_journal(target.fileno()):
        handler.setFormatter(_Journal("%(name)s: %(message)s"))
    else:
        handler.setFormatter(_OneLine("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    logging.getLogger("asyncio").setLevel(max(logging.WARNING, root.level))


def is_journal(fd: int, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether an fd leads to the journal, as the service manager said it does; the variable is handed down, too."""
    try:
        found = os.fstat(fd)
    except OSError:
        return False
    return environment.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def keeper_log(path: Path) -> int | None:
    """Return an fd for what a keeper says, which the caller closes; None where there is no place for it.

    Guests need a keeper, and nobody needs its log: a disk that is full, read-only or failing keeps none from starting.
    """
    try:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        logging.getLogger(__name__).warning("what the keeper says goes nowhere: %s", error)
        return None
