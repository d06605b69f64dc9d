"""The host's side of channels: made with a run, each with a socket that programs of the host connect to."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from insula.engine.console.guestchannel import ChannelPeer, GuestChannel
from insula.engine.console.terminalwatch import TerminalWatch
from insula.engine.launch.runningcontainer import Running
from insula.engine.threads import in_own_thread
from insula.errors import InsulaError
from insula.kernel.leftsockets import FileId, bind_for_owner, file_at, remove_left_socket, remove_own
from insula.model.devices import ChannelDevice
from insula.service.rundirectory import RunDirectory
from insula.service.unread import Description, UnreadDefinition

LOGGER = logging.getLogger(__name__)

_PIECE = 64 * 1024
_REST = 1.0
"""Seconds until clients are looked for again where no descriptor is free for one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BoundSocket:
    """What came of binding at a path. listener: None where that failed; file: which one it made."""

    path: Path
    listener: socket.socket | None = None
    file: FileId | None = None
    failure: str | None = None

    def remove(self) -> None:
        """Close it, and remove its file unless another is there by now. Waits for the disk."""
        if self.listener is not None:
            self.listener.close()
        remove_own(self.path, self.file)


Placed = dict[str, BoundSocket]
"""Sockets that a definition places, by the channels' names: on whichever disk, so they are bound beside the loop."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenChannel:
    """A channel of a run. path: of the socket at which it is offered; failure: why there is none."""

    name: str
    line: GuestChannel
    path: Path | None
    failure: str | None = None
    offer: "ChannelSocket | None" = None
    bound: BoundSocket | None = None

    def close(self) -> None:
        """Let who has it see the end, and lead nobody there any more; its socket's file is still to be removed."""
        self.line.finish()
        if self.offer is not None:
            self.offer.close()


class ChannelHosts:
    """Makes them. directory: where the sockets are that no definition places."""

    def __init__(self, directory: RunDirectory) -> None:
        self._directory = directory
        self._watch = TerminalWatch()

    @asynccontextmanager
    async def placed(self, domain: Description, container: Running | None = None) -> AsyncIterator[Placed]:
        """Give the sockets that a definition places. Those that `begin` has not taken meanwhile are removed at the end.

        Who connects before the guest runs waits until it does. container: of a guest that runs already.
        """
        if container is not None and not container.channels:
            yield {}
            return
        read = domain.value() if isinstance(domain, UnreadDefinition) else domain
        paths = {each.port: path for each in read.devices.channels if each.port and (path := _path(each)) is not None}
        if not paths:
            yield {}
            return
        placed = await in_own_thread(lambda: {name: bound_at(path) for name, path in paths.items()})
        try:
            yield placed
        finally:
            if placed:
                await in_own_thread(lambda: _remove_all(placed.values()))

    def begin(self, domain: Description, container: Running, placed: Placed) -> tuple[OpenChannel, ...]:
        """Return the channels of a container, whose terminals are theirs from now on; if it fails they are nobody's.

        placed: what the definition places of their sockets, taken if it succeeds.
        """
        made: list[OpenChannel] = []
        with ExitStack() as back:
            for number, (name, place) in enumerate(container.channels.items()):
                line = GuestChannel(
                    container.consoles[place],
                    name=f"channel {name} of {domain.name}",
                    watch=self._watch,
                    missed=container.said[place] if place < len(container.said) else b"",
                )
                back.callback(line.let_go)
                bound = placed.get(name) or bound_at(self._directory.channel(domain.uuid, number))
                if name not in placed:
                    back.callback(bound.remove)
                made.append(_offered(name, line, bound))
                if (offer := made[-1].offer) is not None:
                    back.callback(offer.close)
            back.pop_all()
        placed.clear()
        return tuple(made)

    async def remove(self, channels: Sequence[OpenChannel]) -> None:
        """Remove the sockets' files of channels that are closed."""
        if bound := [each.bound for each in channels if each.bound is not None]:
            await in_own_thread(lambda: _remove_all(bound))


def _offered(name: str, line: GuestChannel, bound: BoundSocket) -> OpenChannel:
    """Offer a channel at a socket; one without is opened through libvirt's protocol only, which is told."""
    if bound.listener is None:
        failure = f"the channel '{name}' has no socket at {bound.path}: {bound.failure}"
        return OpenChannel(name=name, line=line, path=None, failure=failure)
    offer = ChannelSocket(bound.listener, line)
    return OpenChannel(name=name, line=line, path=bound.path, offer=offer, bound=bound)


def _path(channel: ChannelDevice) -> Path | None:
    source = channel.source
    return None if source is None or source.path is None else Path(source.path)


def _remove_all(bound: Iterable[BoundSocket]) -> None:
    for each in bound:
        each.remove()


def bound_at(path: Path) -> BoundSocket:
    """Return what came of `bound`, which waits for the disk."""
    try:
        listener = bound(path)
    except OSError as error:
        return BoundSocket(path=path, failure=error.strerror or str(error))
    return BoundSocket(path=path, listener=listener, file=file_at(path))


def bound(path: Path) -> socket.socket:
    """Return a socket that listens at path, for root alone; one that nobody listens at any more makes room.

    Raises: OSError, also for anything else that is there, and for a path that is too long.
    """
    remove_left_socket(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        bind_for_owner(listener, path)
        listener.listen(1)
    except BaseException:
        listener.close()
        raise
    return listener


class ChannelSocket:
    """Leads those who connect to a channel, one at a time; another is hung up on."""

    def __init__(self, listener: socket.socket, line: GuestChannel) -> None:
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        self._line = line
        self._served: set[asyncio.Task[None]] = set()
        self._resting: asyncio.TimerHandle | None = None
        self._loop.add_reader(listener, self._accept)

    def close(self) -> None:
        """Take no further clients; who is there reads what is left."""
        self._loop.remove_reader(self._listener)
        if self._resting is not None:
            self._resting.cancel()
        self._listener.close()

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError as error:
            LOGGER.warning("nobody can be led to the %s: %s", self._line.name, error.strerror)
            self._loop.remove_reader(self._listener)
            self._resting = self._loop.call_later(_REST, self._rested)
            return
        client.setblocking(False)
        try:
            peer = self._line.attach()
        except InsulaError:
            client.close()
            return
        task = self._loop.create_task(_serve(client, peer), name=self._line.name)
        self._served.add(task)
        task.add_done_callback(self._served.discard)

    def _rested(self) -> None:
        self._resting = None
        self._loop.add_reader(self._listener, self._accept)


async def _serve(client: socket.socket, peer: ChannelPeer) -> None:
    """Copy both ways until either side has ended."""
    loop = asyncio.get_running_loop()

    async def outwards() -> None:
        while data := await peer.read(_PIECE):
            await loop.sock_sendall(client, data)

    async def inwards() -> None:
        while data := await loop.sock_recv(client, _PIECE):
            await peer.write(data)

    ways = [loop.create_task(outwards()), loop.create_task(inwards())]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in ways:
            each.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        peer.close()
        client.close()
