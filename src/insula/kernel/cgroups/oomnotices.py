"""Being woken when programs of a group are killed for want of memory, without ever looking in vain.

A v1 group's memory.oom_control wakes an eventfd just before somebody is killed; a v2 group's memory.events counts as
modified when a number in it has risen, of which kills are one. One epoll descriptor is ready when any of them is.
Sources: kernel documents `admin-guide/cgroup-v1/memory` (OOM Control) and `admin-guide/cgroup-v2` (memory.events).
"""

import contextlib
import errno
import os
import select
from typing import TYPE_CHECKING, Generic, TypeVar

from insula.kernel import inotify
from insula.kernel.cgroups import files
from insula.kernel.fds import Fd

if TYPE_CHECKING:
    from insula.kernel.cgroups.group import Cgroup

K = TypeVar("K")


class OomNotices(Generic[K]):
    """Notices of groups, by a key of the caller's for each."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._queue: Fd | None = None
        """Of inotify, for all v2 groups: a user may have a hundred queues only."""
        self._by_event: dict[int, K] = {}
        self._by_watch: dict[int, K] = {}

    def fileno(self) -> int:
        """Return what is readable when `take` has something to tell."""
        return self._epoll.fileno()

    def watch(self, key: K, group: "Cgroup") -> None:
        """Have kills in the group told by this key. Raises: OSError where the group is gone, or has no such notice."""
        directory = group.directory("memory")
        if directory is None:
            raise OSError(errno.EOPNOTSUPP, "this host has no memory controller for control groups", group.path)
        if group.hierarchies.v1_mount("memory") is not None:
            self._watch_old(key, directory)
        else:
            self._by_watch[self._watched(f"{directory}/memory.events")] = key

    def _watch_old(self, key: K, directory: str) -> None:
        event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        try:
            control = os.open(f"{directory}/memory.oom_control", os.O_RDONLY | os.O_CLOEXEC)
            try:
                files.write(f"{directory}/cgroup.event_control", f"{event} {control}")
            finally:
                os.close(control)
            self._epoll.register(event, select.EPOLLIN)
        except OSError:
            os.close(event)
            raise
        self._by_event[event] = key

    def _watched(self, path: str) -> int:
        if self._queue is None:
            self._queue = inotify.inotify()
            self._epoll.register(self._queue, select.EPOLLIN)
        return inotify.watch(self._queue, path, inotify.FileEvent.MODIFIED)

    def forget(self, key: K) -> None:
        """Tell of that group no more; nothing happens if it is not watched."""
        for event in [event for event, known in self._by_event.items() if known == key]:
            del self._by_event[event]
            self._epoll.unregister(event)
            os.close(event)
        for number in [number for number, known in self._by_watch.items() if known == key]:
            del self._by_watch[number]
            if self._queue is not None:
                with contextlib.suppress(OSError):  # it went with the group
                    inotify.unwatch(self._queue, number)

    def take(self) -> set[K]:
        """Return the keys of groups in which somebody was, or is just being, killed, or that are short of memory."""
        found: set[K] = set()
        for descriptor, _ in self._epoll.poll(0):
            if descriptor == self._queue:
                changes = inotify.changes(self._queue)
                found.update(self._by_watch[each.watch] for each in changes if each.watch in self._by_watch)
            elif descriptor in self._by_event:
                os.eventfd_read(descriptor)
                found.add(self._by_event[descriptor])
        return found

    def close(self) -> None:
        for event in self._by_event:
            os.close(event)
        if self._queue is not None:
            os.close(self._queue)
        self._by_event.clear()
        self._by_watch.clear()
        self._queue = None
        self._epoll.close()
