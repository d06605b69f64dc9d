"""A running insulad and a running keeper, at their sockets, in the tests' enclosure.

The daemon has some domains whose roots do not exist, and nothing that starts or builds anything is asked of it: what is
fuzzed is how it listens. Meanwhile a second connection pings it all the time.
"""

import atexit
import contextlib
import json
import os
import re
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from random import Random
from uuid import UUID

from insula.daemon.clientbounds import STALL
from insula.engine.keeper.protocol import Verb
from insula.rpc.arrivals import Reply, Role
from insula.rpc.connection import Connection
from insula.rpc.frames import PacketType
from insula.rpc.procedures import Procedure, Remote
from tests.enclosure import Enclosure
from tests.fuzz.codec import calls
from tests.fuzz.documents import messages
from tests.fuzz.mutation import edited
from tests.fuzz.sessions import special_values
from tests.fuzz.target import BrokenError, One
from tests.fuzz.wire import CALLS, HEADER, count_of, packet_of, values_of
from tests.guests import Guests
from tests.insulad import Insulad
from tests.testhost import TestHost
from tests.waiting import patience, scaled

_STARTS = ("CREATE", "RESTORE", "MIGRATE", "BUILD", "NODE_SUSPEND", "AUTOSTART", "EXEC", "NAMESPACE")
"""Words in the names of what would start or build something."""
_HARMLESS = tuple(row for row in CALLS if not any(word in row.name for word in _STARTS))
_HARMFUL = frozenset((row.program.value, row.number) for row in CALLS if row not in _HARMLESS)
_READ_ONLY, _UNOPENED = 1, 2
_LOOK_EVERY = 500
_PACKETS = 30
GROWTH_MAX = 96 << 20
"""Bytes by which the daemon may grow; what all clients together may make it hold is less."""
SLOWEST_PING = 2.0
"""Seconds within which the daemon answers others, whatever one client sends. What it really takes is told as a figure;
this is no verdict on how busy the machine is."""

_STALLS = re.compile(r"held everybody up for (\d+) ms.*")
"""What the daemon says of calls that took more than STALL; it does not know how slow its host is."""

XML = """<domain type='lxc'>
  <name>d{number}</name>
  <uuid>{uuid}</uuid>
  <memory unit='MiB'>64</memory>
  <os><type>exe</type><init>/sbin/init</init></os>
  <devices><filesystem type='mount'><source dir='/nonexistent/root'/><target dir='/'/></filesystem>
  <console type='pty'/></devices>
</domain>
"""
_DOCUMENTS = [
    XML.format(number=number, uuid=UUID(int=0x0B9B8D9E000040008000_00163E000000 + number)) for number in range(4)
]


def streams(chance: Random) -> Callable[[], bytes]:
    """Make what clients send: a byte of who they are, and some dozen calls, a part of them damaged."""
    special = special_values(chance, _DOCUMENTS)
    arguments = {row: values_of(row.arguments_notation, special) for row in _HARMLESS}
    damaged = calls(chance)

    def one(serial: int) -> bytes:
        row = _HARMLESS[int(chance.random() * len(_HARMLESS))]
        return packet_of(row, serial, arguments[row](chance))

    def make() -> bytes:
        who = int(chance.random() * 4) if chance.random() < 0.3 else int(chance.random() * 2)
        kind = chance.random()
        if kind < 0.1:
            return bytes([who]) + damaged()
        data = b"".join(one(serial) for serial in range(1 + int(chance.random() * _PACKETS)))
        if kind < 0.3:
            data += edited(one(_PACKETS), chance)
        elif kind < 0.4:
            data = edited(data, chance)
        return bytes([who]) + data

    return make


def harmless(data: bytes) -> bytes:
    """Return a stream up to the first packet that would start something, as the daemon would cut it."""
    at = 0
    while at + HEADER.size <= len(data):
        length, program, _, procedure, kind, _, _ = HEADER.unpack_from(data, at)
        if (program, procedure) in _HARMFUL:
            return data[:at]
        if length < HEADER.size or kind in (PacketType.CALL_WITH_FDS, PacketType.REPLY_WITH_FDS):
            return data[:at]
        at += length
    return data


def packets_of(data: bytes) -> int:
    """Return how many whole packets an input brings to the daemon."""
    return count_of(harmless(data[1:])) + (0 if data[:1] and data[0] & _UNOPENED else 1)


class _Pinger(threading.Thread):
    """Asks the daemon for its version all the time; slowest: seconds that an answer took at most."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self._connection = Connection(Role.CLIENT)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(patience(30))
        self._socket.connect(str(path))
        self.ended = threading.Event()
        self.error: BaseException | None = None
        self.taken: list[float] = []
        self._ask(Remote.CONNECT_OPEN, "lxc:///system", 0)

    def run(self) -> None:
        try:
            while not self.ended.wait(0.005):
                began = time.perf_counter()
                self._ask(Remote.CONNECT_GET_LIB_VERSION)
                self.taken.append(time.perf_counter() - began)
        except Exception as error:
            self.error = error
        finally:
            self._socket.close()

    def _ask(self, procedure: Procedure, *arguments: object) -> None:
        serial = self._connection.call(procedure, *arguments)
        for data, _ in self._connection.data_to_send():
            self._socket.sendall(data)
        while True:
            for event in self._connection.receive_data(self._socket.recv(1 << 16)):
                if isinstance(event, Reply) and event.serial == serial:
                    return


class Sockets:
    """Takes inputs to a daemon's two sockets. Whatever they are, it answers others, calls nothing unexpected, and stays
    as large as it was."""

    def __init__(self, insulad: Insulad) -> None:
        self._insulad = insulad
        for document in _DOCUMENTS:
            insulad.define(document)
        self._pinger = _Pinger(insulad.socket)
        self._pinger.start()
        self._count = 0
        self._size = 0
        self._open = packet_of(Remote.CONNECT_OPEN, 1000, ("lxc:///system", 0))

    def __call__(self, data: bytes) -> None:
        who = data[0] if data else 0
        path = self._insulad.layout.socket_read_only if who & _READ_ONLY else self._insulad.socket
        said = harmless(data[1:])
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(patience(10))
            client.connect(str(path))
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                client.sendall((b"" if who & _UNOPENED else self._open) + said)
                client.shutdown(socket.SHUT_WR)
                while client.recv(1 << 16):
                    pass
        self._count += 1
        if self._count % _LOOK_EVERY == 0:
            self.look()

    def look(self) -> None:
        """Raises: BrokenError if something is wrong with the daemon."""
        if self._pinger.error is not None:
            raise BrokenError(f"another client was not answered: {self._pinger.error!r}")
        if self._pinger.taken and max(self._pinger.taken) > scaled(SLOWEST_PING):
            raise BrokenError(f"another client waited for {max(self._pinger.taken):.2f} s")
        log = self._insulad.log_text(last=1 << 20)
        if "Traceback" in log:
            at = log.index("Traceback")
            raise BrokenError(f"the log says: {log[max(0, at - 300) : at + 1500]}")
        for stall in _STALLS.finditer(log):
            if int(stall[1]) > scaled(STALL) * 1000:
                raise BrokenError(f"the log says: {stall[0]}")
        size = resident(self._insulad.pid)
        self._size = self._size or size
        if size - self._size > GROWTH_MAX:
            raise BrokenError(f"the daemon grew by {(size - self._size) >> 20} MiB")

    def close(self) -> None:
        self._pinger.ended.set()
        self._pinger.join()
        self.look()

    @property
    def figures(self) -> str:
        """What was measured, for people."""
        taken = sorted(self._pinger.taken) or [0.0]
        late = taken[int(len(taken) * 0.999)]
        growth = resident(self._insulad.pid) - self._size if self._size else 0
        return (
            f"{len(taken)} pings meanwhile: half within {taken[len(taken) // 2] * 1000:.1f} ms, 99.9 % within "
            f"{late * 1000:.1f} ms, slowest {taken[-1] * 1000:.1f} ms; the daemon grew by {growth / (1 << 20):.1f} MiB"
        )


def resident(pid: int) -> int:
    """Return the bytes of memory that a process has. Source: proc_pid_statm(5)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@cache
def _enclosure() -> Enclosure:
    """Enter the enclosure, for as long as this process lives: only its groups can be left again."""
    entered = Enclosure()
    atexit.register(entered.leave)
    return entered


@contextmanager
def _enclosed() -> Iterator[Path]:
    """Give a directory in the enclosure."""
    directory = Path(tempfile.mkdtemp(prefix="t", dir=_enclosure().base))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@contextmanager
def sockets() -> Iterator[One]:
    """A world with a daemon of its own."""
    with _enclosed() as directory:
        host = TestHost()
        insulad = Insulad(host=host, prefix=directory / "p")
        insulad.start()
        one = Sockets(insulad)
        try:
            yield one
            one.close()
        finally:
            insulad.abandon()
            host.close()


# The keeper


def datagrams(chance: Random) -> Callable[[], bytes]:
    """Make messages to the keeper, of every verb but the one that ends it."""
    others = messages(chance)
    verbs = [each.value for each in Verb if each is not Verb.QUIT]

    def make() -> bytes:
        if chance.random() < 0.5:
            return others()
        body = {"request": 1, "verb": verbs[int(chance.random() * len(verbs))], "uuid": "u", "id": "x", "hold": True}
        data = json.dumps(body).encode()
        return edited(data, chance) if chance.random() < 0.5 else data

    return make


class Keeper:
    """Takes inputs to a keeper. Whatever they are, it serves others, and stays as large as it was."""

    def __init__(self, guests: Guests) -> None:
        self._guests = guests
        self._count = 0
        self._size = resident(guests.keeper_pid)

    def __call__(self, data: bytes) -> None:
        if b"quit" in data:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as channel:
            channel.settimeout(patience(5))
            channel.connect(str(self._guests.socket))
            with contextlib.suppress(ConnectionError):
                channel.send(data)
                channel.send(b"no message, so it hangs up")
                while channel.recv(1 << 17):
                    pass
        self._count += 1
        if self._count % _LOOK_EVERY == 0:
            self.look()

    def look(self) -> None:
        """Raises: BrokenError if something is wrong with the keeper."""
        if self._guests.ask(Verb.HELLO)["pid"] != self._guests.keeper_pid:
            raise BrokenError("another keeper answers")
        if b"Traceback" in (log := self._guests.log.read_bytes()):
            raise BrokenError(f"its log says: {log[-1500:].decode(errors='replace')}")
        if resident(self._guests.keeper_pid) - self._size > GROWTH_MAX:
            raise BrokenError("the keeper grew")

    @property
    def figures(self) -> str:
        """What was measured, for people."""
        return f"the keeper grew by {(resident(self._guests.keeper_pid) - self._size) / (1 << 20):.1f} MiB"


@contextmanager
def keeper() -> Iterator[One]:
    """A world with a keeper of its own."""
    with _enclosed() as directory:
        guests = Guests(directory)
        try:
            one = Keeper(guests)
            yield one
            one.look()
        finally:
            guests.close()
