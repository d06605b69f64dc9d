"""Being told by the kernel what happens to certain interfaces, and of no others.

Starting and stopping guests makes, moves and removes interfaces all the time; a filter in the kernel lets through only
what is about those that are followed, so that nobody wakes for the rest. Every message about a link or an address has
the interface's index at the same place.

Sources: rtnetlink(7) (RTMGRP_…), socket(7) (SO_ATTACH_FILTER), linux/filter.h, kernel document `networking/filter`.
"""

import ctypes
import errno
import socket
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import Enum

from insula.kernel.classicbpf import INSTRUCTION, Assembler, Compare
from insula.network.linkattributes import LINK, UP, LinkAttribute
from insula.network.rtnetlink import MessageType, as_text, attributes

_GROUPS = 0x1 | 0x10 | 0x100
"""RTMGRP_LINK, RTMGRP_IPV4_IFADDR and RTMGRP_IPV6_IFADDR."""
_HEADER = struct.Struct("=IHHII")
_TYPE_AT = 4
_TYPE = struct.Struct("=HH")
"""Of a message, and its flags."""
_INDEX_AT = _HEADER.size + 4
_ADDRESS_INDEX = struct.Struct("=BBBBI")
_ATTACH_FILTER = 26
_ALL_OF_IT = 0xFFFFFFFF
_MOST = 1000
"""Interfaces that a filter tells apart; beyond, everything comes through and is looked at here."""
_PART = 65536


class LinkNews(Enum):
    """What happened to an interface."""

    GONE = "it is gone"
    OFF = "it was switched off"
    ADDRESS_GONE = "an address was taken off it"
    THERE = "it bears a name that is waited for"


@dataclass(frozen=True, kw_only=True, slots=True)
class LinkNotice:
    """One thing that happened. index: the interface's; None: messages were lost, so anything may have.

    name: the interface's, of one that is there.
    """

    index: int | None
    news: LinkNews
    name: str | None = None


class LinkNotices:
    """The kernel's notices about interfaces of the network namespace that this was made in. Never waits."""

    def __init__(self) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._socket = socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE)
        self._followed: frozenset[int] = frozenset()
        self._awaited: frozenset[str] = frozenset()
        self.follow(())
        self._socket.bind((0, _GROUPS))

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def follow(self, indexes: Collection[int], *, names: Collection[str] = ()) -> None:
        """Be told of these from now on, instead of what was followed before.

        names: of interfaces that are waited for; meanwhile all that comes or changes passes the filter.
        """
        self._followed, self._awaited = frozenset(indexes), frozenset(names)
        code = _filter(self._followed, names=bool(self._awaited))
        program = ctypes.create_string_buffer(code, len(code))
        pointer = struct.pack("HxxxxxxP", len(code) // INSTRUCTION.size, ctypes.addressof(program))
        self._socket.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, pointer)

    def read(self) -> Iterator[LinkNotice]:
        """Yield what has come so far."""
        while True:
            try:
                data, (port, _) = self._socket.recvfrom(_PART)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                yield LinkNotice(index=None, news=LinkNews.GONE)
                continue
            if port == 0:  # only the kernel sends from there
                for each in notices_in(data, self._awaited):
                    if each.news is LinkNews.THERE or each.index in self._followed:
                        yield each


def _filter(indexes: Collection[int], *, names: bool = False) -> bytes:
    """The filter loads words as the network writes them, most significant byte first; the kernel writes them its own
    way. names: whether all that tells of an interface by its name passes, too."""
    assembler = Assembler()
    accept = assembler.answer(_ALL_OF_IT)
    if len(indexes) > _MOST:
        return assembler.program()
    place = assembler.answer(0)
    for index in sorted(indexes):
        swapped = int.from_bytes(struct.pack("=I", index), "big")
        place = assembler.test(Compare.EQUAL, swapped, accept, place)
        accept = assembler.answer(_ALL_OF_IT)
    place = assembler.load(_INDEX_AT, place)
    if names:
        comes, its_type = (int.from_bytes(_TYPE.pack(each, 0), "big") for each in (MessageType.NEW_LINK, 0xFFFF))
        place = assembler.test(Compare.EQUAL, comes, assembler.answer(_ALL_OF_IT), place)
        assembler.load(_TYPE_AT, assembler.mask(its_type, place))
    return assembler.program()


def notices_in(data: bytes, awaited: Collection[str] = ()) -> Iterator[LinkNotice]:
    """Yield what the messages of a datagram say of interfaces: losses, and what bears an awaited name."""
    start = 0
    while start + _HEADER.size + LINK.size <= len(data) or start + _HEADER.size + _ADDRESS_INDEX.size <= len(data):
        length, kind, _flags, _sequence, _port = _HEADER.unpack_from(data, start)
        if length < _HEADER.size + _ADDRESS_INDEX.size:
            return
        body = data[start + _HEADER.size : start + length]
        if kind in (MessageType.NEW_LINK, MessageType.DELETE_LINK) and len(body) >= LINK.size:
            family, _type, index, flags, _change = LINK.unpack_from(body)
            if family == socket.AF_UNSPEC:  # those of family AF_BRIDGE tell of ports
                if kind == MessageType.DELETE_LINK:
                    yield LinkNotice(index=index, news=LinkNews.GONE)
                elif awaited and (name := _name_in(body)) in awaited:
                    yield LinkNotice(index=index, news=LinkNews.THERE, name=name)
                if kind == MessageType.NEW_LINK and not flags & UP:
                    yield LinkNotice(index=index, news=LinkNews.OFF)
        elif kind == MessageType.DELETE_ADDRESS:
            yield LinkNotice(index=_ADDRESS_INDEX.unpack_from(body)[4], news=LinkNews.ADDRESS_GONE)
        start += length + (-length % 4)


def _name_in(body: bytes) -> str:
    return as_text(attributes(body, LINK.size).get(LinkAttribute.NAME, b""))
