"""File descriptors: typed, closed in bulk, sent to other processes by name."""

import fcntl
import os
import resource
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from enum import IntFlag
from typing import NewType

from insula.kernel.syscall import syscall

Fd = NewType("Fd", int)
"""An open file descriptor of this process."""

NO_FD = Fd(-1)
AT_FDCWD = Fd(-100)
"""In place of a directory's fd: the working directory."""

LAST_FD = 0xFFFFFFFF


class CloseRange(IntFlag):
    """Flags of close_range(2)."""

    NOW = 0
    UNSHARE = 2
    CLOEXEC = 4


@syscall(436)
def close_range(first: int, last: int, flags: CloseRange) -> None:
    """Close, or mark close-on-exec, every fd from first to last: close_range(2), since Linux 5.9."""
    raise NotImplementedError


def keep_only(fds: Iterable[int]) -> None:
    """Close every fd but these and 0 to 2."""
    first = 3
    for fd in sorted({each for each in fds if each >= first}):
        if fd > first:
            close_range(first, fd - 1, CloseRange.NOW)
        first = fd + 1
    close_range(first, LAST_FD, CloseRange.NOW)


def close_all(fds: Iterable[int]) -> None:
    """Close each; one that is closed already is no error."""
    for fd in fds:
        try:
            os.close(fd)
        except OSError:
            continue


def duplicate(fd: int) -> Fd:
    """Return another fd for the same open file, close-on-exec."""
    return Fd(os.dup(fd))


def memory_file(name: str, content: bytes) -> Fd:
    """Return an anonymous file holding content, read from its start: memfd_create(2)."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC)
    try:
        with open(fd, "wb", closefd=False) as file:
            file.write(content)
        os.lseek(fd, 0, os.SEEK_SET)
    except BaseException:
        os.close(fd)
        raise
    return Fd(fd)


def sealed_file(name: str, content: bytes) -> Fd:
    """Return an anonymous file whose content nobody can change any more: memfd_create(2), fcntl(2), "File Sealing"."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(fd, rest) :]
        seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    except BaseException:
        os.close(fd)
        raise
    return Fd(fd)


def contents(fd: int, *, most: int = sys.maxsize) -> bytes:
    """Return all an fd's file holds, from its start, but no more bytes than most; the file offset does not move."""
    chunks = []
    offset = 0
    while chunk := os.pread(fd, min(1 << 16, most - offset), offset):
        chunks.append(chunk)
        offset += len(chunk)
    return b"".join(chunks)


def check_room(wanted: int) -> None:
    """Raises: OSError(EMFILE) unless this process may open so many files more."""
    if _has_room(wanted):
        return
    # It is tight, or the kernel does not tell: then the only way is to have them.
    probe: list[int] = []
    try:
        while len(probe) < wanted:
            probe.append(os.open("/", os.O_PATH | os.O_CLOEXEC))
    finally:
        close_all(probe)


def _has_room(wanted: int) -> bool:
    """Whether this process surely may open so many files more."""
    try:
        known = os.stat(_OWN_FDS).st_size
    except OSError:
        return False
    return 0 < known <= resource.getrlimit(resource.RLIMIT_NOFILE)[0] - wanted


_OWN_FDS = "/proc/self/fd"
"""Its size is how many descriptors are open, since Linux 6.2; 0 before. Source: kernel document `filesystems/proc`."""
_PLENTY = 1024


class Reserve:
    """Descriptors kept for taking things back, which must not fail for lack of what has just run out.

    They are open all the time, and given to the process while a block of `spent` runs.
    """

    def __init__(self, size: int) -> None:
        """Raises: OSError if this process cannot even have so many."""
        self._size = size
        self._users = 0
        self._fds: list[int] = []
        self._fill()

    @contextmanager
    def spent(self) -> Iterator[None]:
        """Let the block have the descriptors; afterwards as many as there are then are put back.

        Where plenty are free it needs none of them.
        """
        self._users += 1
        if not _has_room(_PLENTY):
            close_all(self._fds)
            self._fds.clear()
        try:
            yield
        finally:
            self._users -= 1
            if not self._users:
                with suppress(OSError):
                    self._fill()

    def check(self, wanted: int) -> None:
        """Raises: OSError(EMFILE) unless the reserve is whole and so many descriptors are free besides."""
        if not self._users:
            self._fill()
        check_room(wanted)

    def _fill(self) -> None:
        while len(self._fds) < self._size:
            self._fds.append(os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC))

    def close(self) -> None:
        close_all(self._fds)
        self._fds.clear()
        self._size = 0
