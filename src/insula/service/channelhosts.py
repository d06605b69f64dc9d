"""The host's side of channels: made with a run, each with a socket that programs of the host connect to."""

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from insula.engine.console.guestchannel import ChannelPeer, GuestChannel
from insula.engine.console.terminalwatch import TerminalWatch
from insula.engine.launch.runningcontainer import Running
from insula.errors import InsulaError
from insula.kernel.leftsockets import bind_for_owner, file_at, remove_left_socket, remove_own
from insula.model.devices import ChannelDevice
from insula.service.rundirectory import RunDirectory
from insula.service.unread import Description, UnreadDefinition

LOGGER = logging.getLogger(__name__)

_PIECE = 64 * 1024
_REST = 1.0
"""Seconds until clients are looked for again where no descriptor is free for one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenChannel:
    """A channel of a run. path: of the socket at which it is offered; failure: why there is none."""

    name: str
    line: GuestChannel
    path: Path | None
    withdraw: Callable[[], None]
    """Take the socket away, if it is there still."""
    failure: str | None = None

    def close(self) -> None:
        """Let who has it see the end, and take the socket away."""
        self.line.finish()
        self.withdraw()


class ChannelHosts:
    """Makes them. directory: where the sockets are that no definition places."""

    def __init__(self, directory: RunDirectory) -> None:
        self._directory = directory
        self._watch = TerminalWatch()

    def begin(self, domain: Description, container: Running) -> tuple[OpenChannel, ...]:
        """Return the channels of a container, whose terminals are theirs from now on; if it fails they are nobody's."""
        if not container.channels:
            return ()
        made: list[OpenChannel] = []
        read = domain.value() if isinstance(domain, UnreadDefinition) else domain
        defined = {each.port: each for each in read.devices.channels}
        with ExitStack() as back:
            for number, (name, place) in enumerate(container.channels.items()):
                line = GuestChannel(
                    container.consoles[place],
                    name=f"channel {name} of {domain.name}",
                    watch=self._watch,
                    missed=container.said[place] if place < len(container.said) else b"",
                )
                back.callback(line.let_go)
                path = _path(defined.get(name)) or self._directory.channel(domain.uuid, number)
                made.append(self._offered(name, line, path))
                back.callback(made[-1].withdraw)
            back.pop_all()
        return tuple(made)

    @staticmethod
    def _offered(name: str, line: GuestChannel, path: Path) -> OpenChannel:
        """Offer a channel at a socket; one without is opened through libvirt's protocol only, which is told."""
        try:
            listener = bound(path)
        except OSError as error:
            failure = f"the channel '{name}' has no socket at {path}: {error.strerror or error}"
            return OpenChannel(name=name, line=line, path=None, withdraw=lambda: None, failure=failure)
        made = file_at(path)
        offer = ChannelSocket(listener, line)

        def withdraw() -> None:
            offer.close()
            remove_own(path, made)

        return OpenChannel(name=name, line=line, path=path, withdraw=withdraw)


def _path(channel: ChannelDevice | None) -> Path | None:
    source = None if channel is None else channel.source
    return None if source is None or source.path is None else Path(source.path)


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
