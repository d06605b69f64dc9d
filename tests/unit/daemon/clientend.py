"""A client's end of a session over a socket pair: calls and streams by the protocol's own client role."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from insula.daemon.authority.policy import AccessPolicy
from insula.daemon.clientbounds import SessionLimits
from insula.daemon.complaints import Complaints
from insula.daemon.config import SocketAccess
from insula.daemon.peers import Peer, peer_of
from insula.daemon.rounds import Rounds
from insula.daemon.session import Session
from insula.daemon.shares import Shares
from insula.errorcodes import ErrorCode
from insula.errors import InsulaError
from insula.rpc.arrivals import Arrival, Failure, Reply, Role, Stream, StreamData
from insula.rpc.connection import Connection
from insula.rpc.procedures import Procedure, Remote
from insula.rpc.wiretypes import DomainRef
from insula.service.events import Events
from tests.unit.daemon.fakes import WEB, FakeDomains, FakeImages, services_of
from tests.waiting import patience

DOM = DomainRef(WEB.name, WEB.uuid.bytes, -1)


class ClientEnd:
    """A libvirt client over R's connection: calls, and everything that came in, in order."""

    def __init__(self, peer: socket.socket) -> None:
        self.socket = peer
        peer.setblocking(False)
        self.connection = Connection(Role.CLIENT)
        self.events: list[Arrival] = []
        self.at_end = False

    def send(self) -> None:
        """Write what waits; it must fit the socket's buffer."""
        for data, fd in self.connection.data_to_send():
            if fd is None:
                assert self.socket.send(data) == len(data)
            else:
                socket.send_fds(self.socket, [data], [fd])

    def begin(self, procedure: Procedure, *arguments: Any, fds: tuple[int, ...] = ()) -> int:
        """Send a call and return its serial."""
        serial = self.connection.call(procedure, *arguments, fds=fds)
        self.send()
        return serial

    def take(self) -> None:
        """Read what has come."""
        with suppress(BlockingIOError):
            while not self.at_end:
                data, fds, _, _ = socket.recv_fds(self.socket, 1 << 20, 32)
                self.at_end = not data
                self.events += self.connection.receive_data(data, fds)

    async def until(self, condition: Callable[[Arrival], bool]) -> Any:
        """Return (and remove) the first event that fits."""
        async with asyncio.timeout(patience(20)):
            while True:
                self.take()
                for each in self.events:
                    if condition(each):
                        self.events.remove(each)
                        return each
                assert not self.at_end, f"the session hung up; there was {self.events}"
                await asyncio.sleep(0.001)

    async def answer(self, serial: int) -> Any:
        """Return the values of a call's reply, or raise its error."""
        event = await self.until(lambda each: isinstance(each, Reply | Failure) and each.serial == serial)
        if isinstance(event, Failure):
            raise event.error
        return event.values

    async def call(self, procedure: Procedure, *arguments: Any) -> Any:
        return await self.answer(self.begin(procedure, *arguments))

    async def open(self, *, read_only: bool = False, name: str | None = "lxc:///system") -> None:
        await self.call(Remote.CONNECT_OPEN, name, int(read_only))

    async def hung_up(self) -> None:
        """Return once the server has closed the connection."""
        async with asyncio.timeout(patience(20)):
            while not self.at_end:
                self.take()
                await asyncio.sleep(0.001)

    async def stream_bytes(self, stream: Stream, count: int) -> bytes:
        data = b""
        while len(data) < count:
            event = await self.until(lambda each: isinstance(each, StreamData) and each.stream is stream)
            data += event.data
        return data


@dataclass(kw_only=True, slots=True)
class Both:
    session: Session
    client: ClientEnd
    domains: FakeDomains
    images: FakeImages
    ended: list[Session] = field(default_factory=list)


@asynccontextmanager
async def connected(
    *,
    admitted: bool = True,
    access: SocketAccess = SocketAccess.READ_WRITE,
    opened: bool = True,
    limits: SessionLimits | None = None,
    shares: Shares | None = None,
    policy: AccessPolicy | None = None,
    peer: Peer | None = None,
) -> AsyncIterator[Both]:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    domains, images = FakeDomains(events=Events()), FakeImages()
    ended: list[Session] = []
    session = Session(
        ours,
        peer=peer or peer_of(ours),
        admitted=admitted,
        access=access,
        services=services_of(domains, images),
        limits=limits or SessionLimits(),
        shares=shares or Shares(),
        rounds=Rounds(),
        complaints=Complaints(),
        authentication=(policy or AccessPolicy()).authentication(peer or peer_of(ours), access),
        jury=None,
        proved=lambda _: None,
        ended=ended.append,
    )
    session.start()
    both = Both(session=session, client=ClientEnd(theirs), domains=domains, images=images, ended=ended)
    try:
        if opened:
            await both.client.open()
        yield both
    finally:
        session.close("the test is over")
        await session.ended_completely()
        theirs.close()
        if domains.hub is not None:
            await domains.hub.finish()
        domains.close()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(patience(20)):
        while not condition():  # noqa: ASYNC110 - the sockets are the event
            await asyncio.sleep(0.001)


def failure(code: ErrorCode) -> Any:
    return pytest.raises(InsulaError, check=lambda error: error.code == code)
