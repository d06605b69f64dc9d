"""The memory file that goes with a guest through all views that serve it: where what is in it stands.

Bytes from 0: a mark; from 32: how far the host's kernel log was read; from 64: load averages; from 4096: processors'
times; from 32768: the kernel log. All are zeros at the guest's start. One process writes at a time, and may be killed
at any moment.
"""

import mmap
import os
from typing import Final

from insula.view.viewedfiles import KEPT_BYTES

_MARK: Final = b"insula view 1\n"
_HOST, _LOADS, _TIMES = 32, 64, 4096
LOG_AT: Final = 32768
LOG_BYTES: Final = KEPT_BYTES - LOG_AT
"""Where a guest's kernel log stands, and how much there is for it."""


class KeptCells:
    """The parts of a memory file, mapped; without one, of memory of this process."""

    def __init__(self, fd: int | None) -> None:
        """Raises: OSError; ValueError if it has less than `KEPT_BYTES`."""
        if fd is None:
            self._map = mmap.mmap(-1, KEPT_BYTES)
        else:
            if os.fstat(fd).st_size < KEPT_BYTES:
                raise ValueError(f"a guest's memory file has {KEPT_BYTES} bytes at least")
            self._map = mmap.mmap(fd, KEPT_BYTES)
        self._view = memoryview(self._map)
        if bytes(self._view[: len(_MARK)]) != _MARK:
            # It is new, or of another version, whose parts stand elsewhere.
            self._view[:] = bytes(KEPT_BYTES)
            self._view[: len(_MARK)] = _MARK
        self.loads: memoryview[int] = self._view[_LOADS:_TIMES].cast("Q")
        self.times: memoryview[int] = self._view[_TIMES:LOG_AT].cast("Q")
        self.log: memoryview[int] = self._view[LOG_AT:]
        self._host = self._view[_HOST:_LOADS].cast("Q")

    @property
    def host_sequence(self) -> int:
        """From which record of the host's kernel log on the guest was told nothing yet; 0 at its start."""
        return self._host[0]

    @host_sequence.setter
    def host_sequence(self, sequence: int) -> None:
        self._host[0] = sequence

    @property
    def consumed(self) -> int:
        """The sequence of the guest's record that its /proc/kmsg gives next."""
        return self._host[1]

    @consumed.setter
    def consumed(self, sequence: int) -> None:
        self._host[1] = sequence

    def close(self) -> None:
        """Let go of it; what is in the file stays."""
        for part in (self.loads, self.times, self.log, self._host, self._view):
            part.release()
        self._map.close()
