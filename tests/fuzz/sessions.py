"""Sessions of both sockets, in this process: real dispatch and service over a fake engine, real sockets between.

An input's first byte says which socket, who is at its other end, and whether the connection is open already; the rest
is what the client sends. State is kept for some hundred inputs, as in a daemon, and then begun afresh.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

from insula.daemon.authority.authentication import Authentication
from insula.daemon.clientbounds import SessionLimits
from insula.daemon.complaints import Complaints
from insula.daemon.config import SocketAccess
from insula.daemon.peers import peer_of
from insula.daemon.rounds import Rounds
from insula.daemon.session import Session
from insula.daemon.shares import Shares
from insula.daemon.wiring import Patience
from insula.rpc.wiretypes import DomainRef
from insula.service.host import HostNode
from insula.service.images import Images
from insula.storage.imagestore import ImageStore
from tests.fuzz.mutation import JsonMutator, XmlMutator, edited
from tests.fuzz.target import BrokenError, One
from tests.fuzz.wire import CALLS, Value, packet_of, values_of
from tests.unit.service.fakes import Rig, domain_xml
from tests.waiting import patience

_BATCH = 300
_READ_ONLY, _STRANGER, _UNOPENED = 1, 2, 4
_UUIDS = tuple(UUID(int=0x0B9B8D9E000040008000_00163E000000 + number) for number in range(4))
_TEXTS = (
    "web",
    "d0",
    "d1",
    "d2",
    "description",
    "http://x/y",
    "vda",
    "console0",
    "ttyS0",
    "cpu_shares",
    "lxc",
    "x86_64",
)


def _xml(number: int) -> str:
    return domain_xml(name=f"d{number}", uuid=_UUIDS[number])


def special_values(chance: Random, documents: list[str]) -> dict[str, Value]:
    """Return what makes values that mean something here: domains that exist, XML, requests."""
    by_token = XmlMutator(documents, chance)
    requests = JsonMutator(({"argv": ["sh"], "tty": True}, {"recipe": "busybox"}), chance)

    def reference(source: Random) -> DomainRef:
        number = int(source.random() * len(_UUIDS))
        return DomainRef(f"d{number}", _UUIDS[number].bytes, int(source.random() * 3) - 1)

    def text(source: Random) -> str:
        return _TEXTS[int(source.random() * len(_TEXTS))]

    def document(source: Random) -> str:
        if source.random() < 0.5:
            return documents[int(source.random() * len(documents))]
        return by_token().replace("\0", "")

    def request(source: Random) -> str:
        return requests().decode(errors="replace").replace("\0", "")

    return {
        "dom": reference,
        "xml": document,
        "xml_in": document,
        "xmlDesc": document,
        "xml_desc": document,
        "name": text,
        "path": text,
        "request": request,
        "recipe": request,
        "flags": lambda source: 1 << int(source.random() * 8) if source.random() < 0.5 else 0,
    }


def streams(chance: Random) -> Callable[[], bytes]:
    """Make what clients send: a byte of who they are, and some calls, a part of them damaged."""
    special = special_values(chance, [_xml(number) for number in range(len(_UUIDS))])
    arguments = {row: values_of(row.arguments_notation, special) for row in CALLS}

    def make() -> bytes:
        calls = []
        for serial in range(1 + int(chance.random() * 5)):
            row = CALLS[int(chance.random() * len(CALLS))]
            calls.append(packet_of(row, serial, arguments[row](chance)))
        data = b"".join(calls)
        who = int(chance.random() * 8) if chance.random() < 0.4 else int(chance.random() * 2)
        return bytes([who]) + (edited(data, chance) if chance.random() < 0.25 else data)

    return make


class _Errors(logging.Handler):
    """Keeps what the daemon calls an error of its own."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


class _Daemon:
    """A service with some domains, and its clients one after another."""

    def __init__(self, directory: Path) -> None:
        self._rig = Rig(directory, Patience(lock=0.02, shutdown=0.02, end=1))
        self._shares = Shares()
        self._complaints = Complaints()
        self._services = replace(
            self._rig.domains.services,
            host=HostNode(root=directory / "host"),
            images=Images(ImageStore(self._rig.layout, builders=())),
        )

    async def begin(self) -> None:
        await self._rig.domains.recover()
        for number in range(len(_UUIDS)):
            ref = await self._rig.domains.define(_xml(number))
            if number % 2:
                await self._rig.domains.start(ref)

    async def close(self) -> None:
        await self._rig.close()

    async def serve(self, who: int, data: bytes) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX)
        theirs.setblocking(False)
        ended: list[Session] = []
        session = Session(
            ours,
            peer=peer_of(ours),
            admitted=not who & _STRANGER,
            access=SocketAccess.READ_ONLY if who & _READ_ONLY else SocketAccess.READ_WRITE,
            services=self._services,
            limits=SessionLimits(),
            shares=self._shares,
            rounds=Rounds(),
            complaints=self._complaints,
            authentication=Authentication(),
            jury=None,
            proved=lambda _: None,
            ended=ended.append,
        )
        try:
            if not who & (_UNOPENED | _STRANGER):
                session.open(read_only=False)
            session.start()
            theirs.send(data[:65536])
            for _ in range(6):
                await asyncio.sleep(0)
            await asyncio.sleep(0.0005)
            _drained(theirs)
        finally:
            session.close("the input is over")
            theirs.close()
            async with asyncio.timeout(patience(20)):
                await session.ended_completely()
                await self._services.lifecycle.connection_closed(session)
        if len(ended) > 1:
            raise BrokenError("a session ended twice")


def _drained(peer: socket.socket) -> None:
    try:
        while peer.recv(1 << 16):
            pass
    except BlockingIOError:
        pass


@contextmanager
def world() -> Iterator[One]:
    """Whatever a client sends, the daemon meets no error of its own, and lets go of all that the client had."""
    errors = _Errors()
    logger = logging.getLogger("insula")
    logger.addHandler(errors)
    before, logger.propagate = logger.propagate, False
    loop = asyncio.new_event_loop()
    state: dict[str, Any] = {"left": 0}

    def renewed() -> None:
        closed()
        state["directory"] = TemporaryDirectory(prefix="fuzz-")
        state["daemon"] = _Daemon(Path(state["directory"].name))
        loop.run_until_complete(state["daemon"].begin())
        state["left"] = _BATCH

    def closed() -> None:
        if daemon := state.pop("daemon", None):
            loop.run_until_complete(daemon.close())
            state.pop("directory").cleanup()

    def one(data: bytes) -> None:
        if not state["left"]:
            renewed()
        state["left"] -= 1
        errors.records.clear()
        try:
            loop.run_until_complete(state["daemon"].serve(data[0] if data else 0, data[1:]))
        except BaseException:
            state["left"] = 0
            raise
        for record in errors.records:
            # Without one it tells what a caller that has gone cannot be told any more.
            if record.exc_info and record.exc_info[1] is not None:
                state["left"] = 0
                raise record.exc_info[1]

    try:
        yield one
    finally:
        closed()
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
        logger.removeHandler(errors)
        logger.propagate = before
