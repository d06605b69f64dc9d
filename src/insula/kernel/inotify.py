"""Being told when a file changes: inotify(7)."""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntFlag

from insula.kernel.fds import Fd
from insula.kernel.syscall import libc

_EVENT = struct.Struct("=iIII")
"""struct inotify_event before its name: watch, mask, cookie, bytes of the name."""
_PART = 65536


class FileEvent(IntFlag):
    """What is told. Source: sys/inotify.h."""

    MODIFIED = 0x2
    WRITTEN = 0x8
    """It was closed by somebody who could write."""
    REMOVED = 0x400
    OVERFLOW = 0x4000
    IGNORED = 0x8000
    """The watch is no more: the file is gone, or its file system."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FileChange:
    """One event. watch: what `watch` returned, -1 with OVERFLOW, when events were lost."""

    watch: int
    events: FileEvent


@libc("inotify_init1")
def _inotify_init1(flags: int) -> Fd:
    raise NotImplementedError


@libc("inotify_add_watch")
def _inotify_add_watch(descriptor: int, path: str, mask: int) -> int:
    raise NotImplementedError


@libc("inotify_rm_watch")
def _inotify_rm_watch(descriptor: int, watch: int) -> None:
    raise NotImplementedError


def inotify() -> Fd:
    """Return a queue of events that never makes its reader wait."""
    return _inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)


def watch(queue: int, path: str, events: FileEvent) -> int:
    """Have events of a file, not of what takes its name later, come to the queue; return the watch's number.

    A file that is watched already keeps its number.
    """
    return _inotify_add_watch(queue, path, events)


def unwatch(queue: int, number: int) -> None:
    """Let events of a watch come no more. Raises: OSError(EINVAL) if there is no such watch any more."""
    _inotify_rm_watch(queue, number)


def changes(queue: int) -> Iterator[FileChange]:
    """Yield what has come to the queue so far."""
    while True:
        try:
            data = os.read(queue, _PART)
        except BlockingIOError:
            return
        start = 0
        while start + _EVENT.size <= len(data):
            number, mask, _cookie, length = _EVENT.unpack_from(data, start)
            yield FileChange(watch=number, events=FileEvent(mask))
            start += _EVENT.size + length
