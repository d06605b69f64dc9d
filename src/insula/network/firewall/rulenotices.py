"""The kernel's notices of changes of the packet filter.

Sources: linux/netfilter/nf_tables.h and nfnetlink.h; a transaction's notices end with one that says who made it.
"""

import errno
import socket
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from insula.network.rtnetlink import as_text, attributes

_NETFILTER = 12
_NFTABLES_GROUP = 7
_ADD_MEMBERSHIP = 1
_SOL_NETLINK = 270
_HEADER = struct.Struct("=IHHII")
_GENERIC = 4
"""Bytes of nfgenmsg, before the attributes."""
_SUBSYSTEM = 10
_NEW_GENERATION = 15
_TABLE = 1
"""The attribute with the table's name: the same in notices of tables, chains, rules, sets, elements and counters."""
_PROCESS, _PROCESS_NAME = 2, 3
_PART = 65536
_NUMBER = struct.Struct(">I")


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleChange:
    """One transaction. tables: those that it has changed, None: notices were lost, and it may be any.

    process, program: of who made it, as the host's first PID namespace has it.
    """

    tables: frozenset[str] | None
    process: int = 0
    program: str = ""


class RuleNotices:
    """Notices of the network namespace of the thread that makes this. Nothing here waits.

    told: a socket that they come from, the kernel's by default.
    """

    def __init__(self, told: socket.socket | None = None) -> None:
        self._socket = _subscribed() if told is None else told
        self._tables: set[str] = set()

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def read(self) -> Iterator[RuleChange]:
        """Yield the transactions that have been told of in whole by now."""
        while True:
            try:
                data = self._socket.recv(_PART)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self._tables.clear()
                yield RuleChange(tables=None)
                continue
            yield from self._changes(data)

    def _changes(self, data: bytes) -> Iterator[RuleChange]:
        start = 0
        while start + _HEADER.size <= len(data):
            length, kind, _, _, _ = _HEADER.unpack_from(data, start)
            if length < _HEADER.size:
                return
            if kind >> 8 == _SUBSYSTEM:
                said = attributes(data[: start + length], start + _HEADER.size + _GENERIC)
                if kind & 0xFF == _NEW_GENERATION:
                    tables, self._tables = frozenset(self._tables), set()
                    yield RuleChange(tables=tables, process=_number(said.get(_PROCESS)), program=_text(said))
                elif _TABLE in said:
                    self._tables.add(as_text(said[_TABLE]))
            start += length + (-length % 4)


def _subscribed() -> socket.socket:
    made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, _NETFILTER)
    made.bind((0, 0))
    made.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, _NFTABLES_GROUP)
    return made


def _number(payload: bytes | None) -> int:
    if payload is None or len(payload) < _NUMBER.size:
        return 0
    number: int = _NUMBER.unpack_from(payload)[0]
    return number


def _text(said: Mapping[int, bytes]) -> str:
    return as_text(said[_PROCESS_NAME]) if _PROCESS_NAME in said else ""
