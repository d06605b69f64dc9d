"""Notices that network devices of the host go and come, by their names: nothing is looked at again and again.

A device that goes and is made again has another index, so that what goes is told by index and what comes by name.
"""

import asyncio
import socket
from collections.abc import Callable, Collection
from contextlib import suppress
from uuid import UUID

from insula.network.virtual.linknotices import LinkNews, LinkNotices

_LOOKS_MAX = 5
"""How often the names are looked up until two looks agree: a device may go between a look and the notice of it."""


class DeviceWatch:
    """Follows devices in the event loop that it is made in, and in the network namespace of that thread.

    told: what is called with who follows a device, the device's name, and whether it is there, soon after that changed.
    """

    def __init__(self, told: Callable[[UUID, str, bool], None]) -> None:
        self._told = told
        self._loop = asyncio.get_running_loop()
        self._followers: dict[UUID, frozenset[str]] = {}
        self._there: dict[str, int] = {}
        """The index of each device that is there, by its name."""
        self._absent: set[str] = set()
        self._reminded: set[str] = set()
        """Devices that are there, and whose next change is told."""
        self._notices = LinkNotices()
        self._closed = False
        self._loop.add_reader(self._notices, self._changed)

    def close(self) -> None:
        """Follow nothing any more; verbs that come to their end meanwhile may go on asking for it."""
        self._loop.remove_reader(self._notices)
        self._notices.close()
        self._closed = True
        self._followers.clear()
        self._there.clear()
        self._absent.clear()

    def follow(self, follower: UUID, devices: Collection[str]) -> None:
        """Follow these devices, instead of those that were followed for the same follower.

        One that is not there is told soon; one that is, only once that changes.
        """
        former, wanted = self._followers.get(follower, frozenset()), frozenset(devices)
        if self._closed or former == wanted:
            return
        self._followers[follower] = wanted
        if not wanted <= self._there.keys() | self._absent:  # what others follow already costs a guest's start nothing
            self._look()
        for each in sorted(wanted & self._absent):
            self._loop.call_soon(self._tell, follower, each, False)

    def forget(self, follower: UUID) -> None:
        if self._followers.pop(follower, frozenset()) & (self._absent | self._reminded):
            self._look()

    def remind(self, device: str) -> None:
        """Tell once more that a device is there, as soon as anything about it changes."""
        if device in self._there:
            self._reminded.add(device)
            self._listen()

    def _look(self) -> None:
        """Look up all names, and tell what has become of those that were known."""
        wanted = frozenset().union(*self._followers.values())
        known = wanted & (self._there.keys() | self._absent)
        before = dict(self._there)
        for _ in range(_LOOKS_MAX):
            former = self._there
            self._there = {}
            for each in wanted:
                with suppress(OSError):
                    self._there[each] = socket.if_nametoindex(each)
            self._absent = set(wanted - self._there.keys())
            self._reminded &= self._there.keys()
            self._listen()
            if former == self._there:
                break
        for each in sorted(known):
            if before.get(each) != self._there.get(each):
                self._told_of(each)

    def _listen(self) -> None:
        self._notices.follow(frozenset(self._there.values()), names=self._absent | self._reminded)

    def _changed(self) -> None:
        look = False
        for notice in self._notices.read():
            if notice.news is LinkNews.THERE and notice.name in self._reminded:
                self._reminded.discard(notice.name)
                self._told_of(notice.name)
            look = look or notice.news in (LinkNews.GONE, LinkNews.THERE)
        if look:
            self._look()

    def _told_of(self, device: str) -> None:
        for follower in [each for each, devices in self._followers.items() if device in devices]:
            self._loop.call_soon(self._tell, follower, device, device in self._there)

    def _tell(self, follower: UUID, device: str, there: bool) -> None:
        if device in self._followers.get(follower, ()) and there == (device in self._there):
            self._told(follower, device, there)
