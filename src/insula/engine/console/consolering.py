"""The latest output of one console: in memory, and in a file on a file system in memory, which outlives this process.

What a viewer was shown is in the file already: nobody who saw a line finds it missing after this process was killed.
The log is no such place, for it is written by a thread, and may wait for a disk.
"""

import logging
import os
from contextlib import suppress
from pathlib import Path

RING_BYTES = 64 * 1024
"""How much is kept at least; up to twice as much at most."""
_ANCHOR = 64
"""Bytes that must be the same for two ends to meet; what is found by them is compared as a whole."""

_logger = logging.getLogger(__name__)


class ConsoleRing:
    """The latest bytes of a stream.

    path: the file, none to keep them in memory only; content: what it begins with.
    """

    def __init__(self, path: Path | None, content: bytes = b"") -> None:
        self._path = path
        self._bytes = bytearray(content)
        self._renew()

    def append(self, data: bytes) -> None:
        """Add bytes; the oldest make room now and then."""
        self._bytes += data
        if len(self._bytes) > 2 * RING_BYTES:
            del self._bytes[:-RING_BYTES]
            self._renew()
        elif self._path is not None:
            try:
                self._write(self._path, os.O_APPEND, data)
            except FileNotFoundError:
                self._renew()
            except OSError as error:
                self._give_up(error)

    def latest(self) -> bytes:
        """Return the last RING_BYTES, fewer if there are not so many."""
        return bytes(self._bytes[-RING_BYTES:])

    def begin_with(self, content: bytes) -> None:
        """Put bytes before all others, found late, as far as there is room."""
        room = 2 * RING_BYTES - len(self._bytes)
        if room > 0:
            self._bytes[:0] = content[-room:]
            self._renew()

    def close(self) -> None:
        """Write no more; the file stays for whoever comes next."""
        self._path = None

    def _renew(self) -> None:
        """Put a new file with all there is in the old one's place, so that a reader finds one of the two, whole."""
        if self._path is None:
            return
        try:
            if not self._bytes:
                self._write(self._path, os.O_CREAT | os.O_TRUNC, b"")
                return
            new = self._path.with_name(f"{self._path.name}.new")
            self._write(new, os.O_CREAT | os.O_TRUNC, bytes(self._bytes))
            new.replace(self._path)
        except OSError as error:
            self._give_up(error)

    @staticmethod
    def _write(path: Path, flags: int, data: bytes) -> None:
        """Open the file for this one time: a descriptor for each console of each guest would be many."""
        descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | flags, 0o600)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        finally:
            os.close(descriptor)

    def _give_up(self, error: OSError) -> None:
        """Leave no file rather than one with a gap."""
        _logger.warning("cannot keep the console's latest output in %s: %s", self._path, error)
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)
        self._path = None


def kept(path: Path) -> bytes | None:
    """Return what an earlier process kept in a ring's file, None if it is not there or unreadable."""
    try:
        return path.read_bytes()
    except OSError:
        return None


def news(said: bytes, logged: bytes) -> bytes:
    """Return what the end of a stream, said, tells beyond logged, which ends where an earlier process stopped writing.

    Nothing if the two have too little in common, or nothing is logged: then nobody knows where to go on.
    """
    anchor = logged[-_ANCHOR:]
    end = len(said)
    while (at := said.rfind(anchor, 0, end)) >= 0:
        stop = at + len(anchor)
        common = min(stop, len(logged))
        if said[stop - common : stop] == logged[len(logged) - common :]:
            return said[stop:]
        end = stop - 1
    return b""
