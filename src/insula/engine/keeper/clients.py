"""The keeper's clients: who may connect, what they ask, and answers that wait until they are read."""

import os
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Any

from insula.engine.keeper.eventloop import READABLE, WRITABLE, EventLoop
from insula.engine.keeper.protocol import Message, decode, describe, receive_encoded, send
from insula.kernel.fds import Fd

_PEER = struct.Struct("iII")
"""struct ucred: pid, uid, gid. Source: unix(7)."""


WAITING_MAX = 10_000
"""Messages that wait for a client that does not read."""


class RefusalError(Exception):
    """A request that cannot be met; the text says why."""


class StartFailedError(Exception):
    """The process that is asked about has failed already. failure: as it told."""

    def __init__(self, failure: dict[str, Any]) -> None:
        super().__init__(failure["text"])
        self.failure = failure


class KeeperClient:
    """A daemon (or the SDK) at the other end of a channel."""

    __slots__ = ("channel", "forgetting", "listening", "reading", "waiting")

    def __init__(self, channel: socket.socket) -> None:
        channel.setblocking(False)
        self.channel = channel
        self.listening = False
        """Whether it said hello, and is told of events."""
        self.forgetting = True
        """Whether it tells us when to forget how an entered process ended."""
        self.reading = False
        """Whether it reads the consoles."""
        self.waiting: deque[Message] = deque()


class PendingRequest:
    """What a client asked and waits for."""

    __slots__ = ("client", "number")

    def __init__(self, client: KeeperClient, number: int) -> None:
        self.client = client
        self.number = number


class Clients:
    """All that are connected.

    serve: called with each request's verb and message, may raise RefusalError, OSError, or whatever a malformed request
    leads to; lost: called when a client has gone.
    """

    def __init__(
        self,
        loop: EventLoop,
        serve: Callable[[str, PendingRequest, Message], None],
        lost: Callable[[KeeperClient], None],
    ) -> None:
        self._loop = loop
        self._serve = serve
        self._lost = lost
        self._clients: list[KeeperClient] = []
        self._listener: socket.socket | None = None

    def __len__(self) -> int:
        return len(self._clients)

    @property
    def anybody_reads(self) -> bool:
        return any(client.reading for client in self._clients)

    @property
    def all_just_listen(self) -> bool:
        """Whether somebody is told of events, and nobody who is would tell us when to forget one."""
        forgetting = [client.forgetting for client in self._clients if client.listening]
        return bool(forgetting) and not any(forgetting)

    def listen(self, listener: socket.socket) -> None:
        """Take in whoever connects and is root or the keeper's own user."""
        listener.setblocking(False)
        self._listener = listener
        self._loop.watch(listener.fileno(), READABLE, lambda _: self._accept(listener))

    def close_door(self) -> bool:
        """Take in nobody from now on, unless somebody is waiting at this moment: return whether nobody was."""
        if self._listener is None:
            return True
        self._accept(self._listener)
        if self._clients:
            return False
        self._loop.unwatch(self._listener.fileno())
        self._listener.close()
        return True

    def _accept(self, listener: socket.socket) -> None:
        try:
            channel, _ = listener.accept()
        except OSError:
            return
        _, uid, _ = _PEER.unpack(channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
        if uid in (0, os.geteuid()):
            self.welcome(channel)
        else:
            channel.close()

    def welcome(self, channel: socket.socket) -> None:
        """Serve whoever is at the other end of a channel."""
        client = KeeperClient(channel)
        self._clients.append(client)
        self._loop.watch(channel.fileno(), READABLE, lambda events: self._handle(client, events))

    def _handle(self, client: KeeperClient, events: int) -> None:
        try:
            if events & WRITABLE:
                self._flush(client)
            if not events & ~WRITABLE:
                return
            received = receive_encoded(client.channel)
            message = None if received is None else decode(*received)
        except BlockingIOError:
            return
        except (OSError, ValueError):
            # Whoever speaks like that will not be understood next time either.
            message = None
        if message is None:
            self._lose(client)
            return
        try:
            self._dispatch(PendingRequest(client, message.body.get("request", 0)), message)
        finally:
            message.close()

    def _dispatch(self, request: PendingRequest, message: Message) -> None:
        try:
            self._serve(message.body.get("verb", ""), request, message)
        except StartFailedError as error:
            self.answer(request, {"error": error.failure})
        except RefusalError as error:
            self.answer(request, {"error": {"text": str(error), "errno": 0}})
        except Exception as error:  # whatever a request leads to, all others go on
            self.answer(request, {"error": describe(error)})

    def _lose(self, client: KeeperClient) -> None:
        self._clients.remove(client)
        self._loop.unwatch(client.channel.fileno())
        client.channel.close()
        while client.waiting:
            client.waiting.popleft().close()
        self._lost(client)

    def answer(self, request: PendingRequest, body: dict[str, Any], fds: dict[str, Fd] | None = None) -> None:
        """Answer a request; the caller keeps the fds."""
        self._send(request.client, {"answer": request.number, **body}, fds or {})

    def tell(self, event: dict[str, Any]) -> None:
        """Tell an event to everybody who listens."""
        for client in self._clients:
            if client.listening:
                self._send(client, event, {})

    def _send(self, client: KeeperClient, body: dict[str, Any], fds: dict[str, Fd]) -> None:
        if client.channel.fileno() < 0:
            return
        if not client.waiting:
            try:
                send(client.channel, body, fds)
                return
            except BlockingIOError:
                self._loop.rewatch(client.channel.fileno(), READABLE | WRITABLE)
            except OSError:
                # It is gone; the end of file will say so.
                return
        if len(client.waiting) >= WAITING_MAX:
            # It has not read for very long: the end of file tells it to begin anew.
            client.channel.shutdown(socket.SHUT_RDWR)
            return
        client.waiting.append(Message(body, {name: Fd(os.dup(fd)) for name, fd in fds.items()}))

    def _flush(self, client: KeeperClient) -> None:
        while client.waiting:
            send(client.channel, *client.waiting[0])
            client.waiting.popleft().close()
        self._loop.rewatch(client.channel.fileno(), READABLE)
