"""Shaking hands with clients from afar: beside the loop, against the clock, and not with too many at once."""

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from insula.daemon.afar.certificates import Certificates, name_of
from insula.daemon.complaints import Complaints
from insula.daemon.listener import Endpoint
from insula.daemon.peers import Account, Peer
from insula.engine.threads import in_own_thread

HANDSHAKE_SECONDS: Final = 10.0
"""From connecting to the last step; a client does these without asking anybody anything."""
WELCOME: Final = b"\1"
"""What a client waits for, once it is known, before it says anything. Source: libvirt's virnettlscontext.c."""

Welcome = Callable[[ssl.SSLSocket, Peer, Endpoint], None]


class Handshakes:
    """Those under way. welcome: takes whom we know."""

    def __init__(self, certificates: Certificates, complaints: Complaints, welcome: Welcome) -> None:
        self._certificates = certificates
        self._complaints = complaints
        self._welcome = welcome
        self._of_network: Counter[Account] = Counter()
        self._under_way: dict[asyncio.Task[None], Peer] = {}
        """Who began first stands first."""
        self._given_up: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._under_way)

    def of(self, account: Account) -> int:
        """How many are under way with clients from a network."""
        return self._of_network[account]

    def make_room(self, most: int) -> None:
        """Have fewer than so many under way: who has been at it longest of those from the busiest network gives way.

        Hands are shaken in no time by who means to, so it is no honest client who has to go, however slow others are.
        """
        while self._under_way and len(self) >= most:
            busiest = max(self._of_network.values())
            task, peer = next(each for each in self._under_way.items() if self.of(each[1].account) == busiest)
            self._leave(task)
            self._given_up.add(task)
            task.add_done_callback(self._given_up.discard)
            task.cancel()
            self._complaints.complain(peer.account, f"{peer} is hung up on: its handshake takes long, and others wait")

    def begin(self, connection: socket.socket, peer: Peer, endpoint: Endpoint) -> None:
        """Shake hands with a client of whom only the address is known. The connection is ours from now on."""
        connection.setblocking(False)
        self._of_network[peer.account] += 1
        task = asyncio.create_task(self._shake(connection, peer, endpoint), name=f"handshake with {peer}")
        self._under_way[task] = peer
        task.add_done_callback(self._leave)
        task.add_done_callback(lambda _: connection.close())  # one that is given up before its turn never began

    async def close(self) -> None:
        """Give up what is under way."""
        tasks = [*self._under_way, *self._given_up]
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _leave(self, task: asyncio.Task[None]) -> None:
        """Let a handshake that is over, or given up, count no more."""
        peer = self._under_way.pop(task, None)
        if peer is None:
            return
        self._of_network[peer.account] -= 1
        if not self._of_network[peer.account]:
            del self._of_network[peer.account]

    async def _shake(self, connection: socket.socket, peer: Peer, endpoint: Endpoint) -> None:
        try:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            context = self._certificates.context
            tls = connection = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                await _all_steps(tls)
            name = name_of(tls.getpeercert() or {})
            if not name or not self._certificates.known(name):
                raise ssl.SSLError(f"its certificate's name '{name}' is not among tls_allowed_dn_list")
            tls.send(WELCOME)
        except TimeoutError:
            self._refuse(connection, peer, f"it took longer than {HANDSHAKE_SECONDS:g} s")
        except OSError as error:
            self._refuse(connection, peer, str(error.strerror if isinstance(error, ssl.SSLError) else error))
        except BaseException:
            connection.close()
            raise
        else:
            self._welcome(tls, Peer(address=peer.address, name=name), endpoint)

    def _refuse(self, connection: socket.socket, peer: Peer, why: str) -> None:
        connection.close()
        self._complaints.complain(peer.account, f"{peer} did not come in by TLS: {why}")


async def _all_steps(tls: ssl.SSLSocket) -> None:
    """Shake hands. Raises: OSError, ssl.SSLError among them."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            await _step(tls)
            return
        except ssl.SSLWantReadError:
            await _ready(tls, loop.add_reader, loop.remove_reader)
        except ssl.SSLWantWriteError:
            await _ready(tls, loop.add_writer, loop.remove_writer)


async def _step(tls: ssl.SSLSocket) -> None:
    """Do what can be done now, which is some milliseconds of arithmetic, beside the loop.

    If we are cancelled it is waited for: the descriptor must stay as long as it is used.
    """
    step = asyncio.ensure_future(in_own_thread(tls.do_handshake))
    try:
        await asyncio.shield(step)
    except asyncio.CancelledError:
        await asyncio.wait([step])
        with suppress(OSError):
            step.result()
        raise


def _set(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)


async def _ready(tls: ssl.SSLSocket, watch: Callable[..., None], unwatch: Callable[..., object]) -> None:
    ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    watch(tls, _set, ready)
    try:
        await ready
    finally:
        unwatch(tls)
