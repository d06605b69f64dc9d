"""What has been taken from a connection and is not answered yet, in memory that outlives the process.

A request that was read is the reader's to answer: the kernel gives it to nobody else, and the asker cannot even be
killed. So requests are read into a memory file, of which the keeper has a descriptor as it has the connection's: the
view that takes over finds there the one that was being answered, and all whose askers wait for something to read. The
kernel could hand them out again (FUSE_NOTIFY_RESEND, Linux 6.9); this needs nothing of it, and works with any.

    0               what the content keeps of its own (`viewedfiles.KEPT_BYTES`)
    KEPT_BYTES      one request, as it was read; its length is 0 once it is answered
     + 16384        waiters, 40 bytes each; the first number is 0 for an empty place
"""

import contextlib
import mmap
import os
import struct
from enum import IntEnum
from typing import NamedTuple

from insula.kernel.fds import Fd
from insula.kernel.fuse import REQUEST_MAX
from insula.view.viewedfiles import KEPT_BYTES

_WAITERS_AT = 16384
WAITERS_MAX = 512
"""Of one guest: openers of streams that read or poll at the same time."""
_WAITER = struct.Struct("<IIQQQQ")
_LENGTH = struct.Struct("<I")
_SIZE = _WAITERS_AT + WAITERS_MAX * _WAITER.size


class WaiterKind(IntEnum):
    READER = 1
    POLLER = 2


class Waiter(NamedTuple):
    """Who waits for a stream. name: a reader's unique, or the kernel's handle of a poller; offset: where it reads."""

    kind: WaiterKind
    size: int
    name: int
    node: int
    handle: int
    offset: int


def make_memory() -> Fd:
    """Return a memory file for one guest's view; the caller closes it. Raises: OSError."""
    fd = Fd(os.memfd_create("insula-view", os.MFD_CLOEXEC))
    try:
        os.ftruncate(fd, KEPT_BYTES + _SIZE)
    except BaseException:
        os.close(fd)
        raise
    return fd


class RequestNotes:
    """The notes of one connection; the file stays the caller's."""

    def __init__(self, file: int) -> None:
        """Raises: OSError, ValueError if the file is none of `make_memory`."""
        self._memory = mmap.mmap(file, _SIZE, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE, offset=KEPT_BYTES)
        self._view = memoryview(self._memory)
        self._slot = self._view[:REQUEST_MAX]
        self._waiters: dict[int, Waiter] = {}
        self._free = list(range(WAITERS_MAX - 1, -1, -1))
        if self._memory[_WAITERS_AT:].strip(b"\0"):  # not of a guest that starts
            self._find_waiters()

    def _find_waiters(self) -> None:
        for place in range(WAITERS_MAX):
            kind, *rest = _WAITER.unpack_from(self._memory, _at(place))
            if kind in (WaiterKind.READER, WaiterKind.POLLER):
                self._waiters[place] = Waiter(WaiterKind(kind), *rest)
                self._free.remove(place)

    def receive(self, device: int) -> bytes:
        """Read a request of a connection, note it, and return it. Raises: OSError; BlockingIOError if none is there."""
        size = os.readv(device, [self._slot])
        return bytes(self._slot[:size])

    def underway(self) -> bytes | None:
        """Return the request that was read and not answered yet, None if there is none."""
        (length,) = _LENGTH.unpack_from(self._memory)
        return bytes(self._slot[:length]) if 0 < length <= REQUEST_MAX else None

    def settled(self) -> None:
        """Forget the request: it is answered, or its asker waits in the table."""
        _LENGTH.pack_into(self._memory, 0, 0)

    def waiters(self) -> list[Waiter]:
        """Return who waits, those first who came first as far as places tell."""
        return list(self._waiters.values())

    def add(self, waiter: Waiter) -> bool:
        """Note who waits; return False if there is no place left. A reader is noted once, whoever notes it again."""
        if waiter in self._waiters.values():
            return True
        if not self._free:
            return False
        place = self._free.pop()
        at = _at(place)
        _WAITER.pack_into(self._memory, at, 0, *waiter[1:])
        _LENGTH.pack_into(self._memory, at, waiter.kind)  # the last: what is written by halves counts as empty
        self._waiters[place] = waiter
        return True

    def remove(self, waiter: Waiter) -> None:
        """Forget who waited."""
        for place, each in list(self._waiters.items()):
            if each == waiter:
                _LENGTH.pack_into(self._memory, _at(place), 0)
                del self._waiters[place]
                self._free.append(place)

    def close(self) -> None:
        """Let go of the memory, not of what is noted."""
        self._slot.release()
        self._view.release()
        with contextlib.suppress(BufferError):
            self._memory.close()


def _at(place: int) -> int:
    return _WAITERS_AT + place * _WAITER.size
