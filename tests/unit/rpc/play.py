"""Two ends of a connection in memory, for plays between a client and a server."""

from typing import Any

from insula.rpc.connection import Arrival, Call, Connection, Reply, Role, Stream
from insula.rpc.frames import Frame, PacketType, Status, pack_frame
from insula.rpc.wiretypes import DomainRef

WEB = DomainRef("web", bytes(range(16)), 7)
VOLUME = ("pool", "name", "key")


class Play:
    """Both ends of one connection, and what lies on the wire between them."""

    def __init__(self) -> None:
        self.client = Connection(Role.CLIENT)
        self.server = Connection(Role.SERVER)

    def to_server(self, *, now: float = 0.0) -> list[Arrival]:
        """Carry what the client has to send; return what the server makes of it."""
        return carry(self.client, self.server, now=now)

    def to_client(self, *, now: float = 0.0) -> list[Arrival]:
        """Carry what the server has to send; return what the client makes of it."""
        return carry(self.server, self.client, now=now)

    def called(self, *arguments: Any, fds: tuple[int, ...] = ()) -> Call:
        """Let the client call; return the call as the server sees it."""
        self.client.call(*arguments, fds=fds)
        (call,) = self.to_server()
        assert isinstance(call, Call)
        return call

    def opened(self, *arguments: Any) -> tuple[Stream, Stream]:
        """Open a stream; return the server's and the client's side of it."""
        here = self.server.reply(self.called(*arguments))
        (reply,) = self.to_client()
        assert isinstance(reply, Reply)
        assert here is not None
        assert reply.stream is not None
        return here, reply.stream


def carry(sender: Connection, receiver: Connection, *, now: float = 0.0) -> list[Arrival]:
    events: list[Arrival] = []
    for data, fd in sender.data_to_send():
        events += receiver.receive_data(data, [fd] if fd is not None else [], now=now)
    return events


def sent(connection: Connection) -> bytes:
    return b"".join(data for data, _ in connection.data_to_send())


def packet(**changed: Any) -> bytes:
    return pack_frame(Frame(0x20008086, 1, 16, PacketType.CALL, 0, Status.OK, b"")._replace(**changed))
