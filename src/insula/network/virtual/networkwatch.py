"""Notices what happens to networks that run, while the daemon does: nothing is looked at again and again.

A bridge that goes or is switched off, and an address taken off it, the kernel tells by netlink; the end of a dnsmasq by
its pidfd; a change of its leases by inotify.
"""

import asyncio
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from insula.kernel.inotify import FileEvent, changes, inotify, unwatch, watch
from insula.network.processwatch import ProcessWatch
from insula.network.virtual.linknotices import LinkNotices
from insula.network.virtual.networkrecord import NetworkRecord

_QUIET = 0.05
"""Seconds after the first write to a file of leases within which further ones count as the same change."""


class NetworkEvent(Enum):
    """What has happened to a network."""

    DAMAGED = "something of it is gone"
    """`NetworkPerformer.settle` is due."""
    LEASES = "leases have changed"


@dataclass
class _Followed:
    record: NetworkRecord
    leases: int | None = None
    """The watch on its file of leases."""
    pending: set[NetworkEvent] = field(default_factory=set)


class NetworkWatch:
    """Follows networks in the event loop that it is made in, and in the network namespace of that thread.

    told: what is called with a network's UUID and what happened to it. Several things at once may be told as one.
    """

    def __init__(self, told: Callable[[str, NetworkEvent], None]) -> None:
        self._told = told
        self._loop = asyncio.get_running_loop()
        self._networks: dict[str, _Followed] = {}
        self._processes = ProcessWatch(self._process_ended)
        self._notices = LinkNotices()
        self._queue = inotify()
        self._closed = False
        self._loop.add_reader(self._notices, self._links_changed)
        self._loop.add_reader(self._queue, self._files_changed)

    def close(self) -> None:
        """Follow nothing any more; verbs that come to their end meanwhile may go on asking for it."""
        for uuid in list(self._networks):
            self.forget(uuid)
        self._processes.close()
        self._loop.remove_reader(self._notices)
        self._loop.remove_reader(self._queue)
        self._notices.close()
        os.close(self._queue)
        self._closed = True

    def follow(self, record: NetworkRecord, *, leases: Path | None = None) -> None:
        """Follow a network by its record, a newer one instead of the former.

        leases: its file of leases. What is gone by now already is told at once, and ever later where following it anew
        does not help.
        """
        if self._closed:
            return
        former = self._networks.get(record.uuid)
        if former is not None:
            self._let_go(former)
        followed = _Followed(record=record)
        self._networks[record.uuid] = followed
        self._follow_links()
        self._processes.follow(record.uuid, record.dnsmasq)
        if record.index is not None and not _is_there(record.index):
            self._processes.count_end(record.uuid)
        if leases is not None:
            try:
                followed.leases = watch(self._queue, str(leases), FileEvent.MODIFIED)
            except FileNotFoundError:
                self._tell(followed, NetworkEvent.DAMAGED)

    def forget(self, uuid: str) -> None:
        """Follow a network no more: what is taken away now is meant to be."""
        followed = self._networks.pop(uuid, None)
        if followed is not None:
            self._processes.forget(uuid)
            self._let_go(followed)
            self._follow_links()

    def _let_go(self, followed: _Followed) -> None:
        if followed.leases is not None:
            number, followed.leases = followed.leases, None
            if not any(each.leases == number for each in self._networks.values()):
                with suppress(OSError):  # the file went, and the watch with it
                    unwatch(self._queue, number)

    def _follow_links(self) -> None:
        self._notices.follow({each.record.index for each in self._networks.values() if each.record.index is not None})

    def _process_ended(self, uuid: str) -> None:
        self._tell(self._networks[uuid], NetworkEvent.DAMAGED)

    def _links_changed(self) -> None:
        for notice in self._notices.read():
            for each in list(self._networks.values()):
                if notice.index in (None, each.record.index):
                    self._tell(each, NetworkEvent.DAMAGED)

    def _files_changed(self) -> None:
        for change in changes(self._queue):
            for each in list(self._networks.values()):
                if change.watch in (each.leases, -1) and each.leases is not None:
                    if FileEvent.IGNORED in change.events:
                        each.leases = None
                    self._tell(each, NetworkEvent.LEASES, after=_QUIET)

    def _tell(self, followed: _Followed, event: NetworkEvent, *, after: float = 0.0) -> None:
        """Tell it soon, and once for all that happens until then."""
        if event not in followed.pending:
            followed.pending.add(event)
            self._loop.call_later(after, self._told_now, followed, event)

    def _told_now(self, followed: _Followed, event: NetworkEvent) -> None:
        followed.pending.discard(event)
        if self._networks.get(followed.record.uuid) is followed:
            self._told(followed.record.uuid, event)


def _is_there(index: int) -> bool:
    try:
        socket.if_indextoname(index)
    except OSError:
        return False
    return True
