"""All clients: at most so many, and all gone at the end."""

import asyncio
import itertools
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from insula.daemon.activation import PassedSocket
from insula.daemon.afar.certificates import Certificates
from insula.daemon.authority.authentication import Authentication
from insula.daemon.authority.policy import AccessPolicy
from insula.daemon.clientbounds import SessionLimits
from insula.daemon.config import Settings, SocketAccess, SocketSettings
from insula.daemon.listener import Endpoint, EndpointKind, close_endpoints, open_endpoints
from insula.daemon.peers import Admission, Peer
from insula.daemon.server import Capacity, Server, capacity_of
from insula.daemon.session import Session
from insula.rpc.arrivals import Role
from insula.rpc.codes.connectioncodes import AuthType
from insula.rpc.connection import Connection
from insula.rpc.procedures import Remote
from insula.rpc.wiretypes import DomainRef
from insula.service.events import Events
from tests.unit.daemon.fakes import WEB, FakeDomains, services_of
from tests.waiting import patience, scaled

pytestmark = pytest.mark.asyncio


@asynccontextmanager
async def serving(
    path: Path, *, max_clients: int = 10, of_one_user: int = 10
) -> AsyncIterator[tuple[Server, FakeDomains, list[int]]]:
    read_only = SocketSettings(path=path.with_name("ro"), mode=0o666, access=SocketAccess.READ_ONLY)
    endpoints = open_endpoints(Settings(sockets=(SocketSettings(path=path, mode=0o666), read_only)), [])
    async with serving_at(endpoints, max_clients=max_clients, of_one_user=of_one_user) as served:
        yield served


@asynccontextmanager
async def serving_at(
    endpoints: Sequence[Endpoint],
    *,
    max_clients: int = 10,
    of_one_user: int = 10,
    policy: AccessPolicy | None = None,
    anonymous: int = 20,
    certificates: Certificates | None = None,
) -> AsyncIterator[tuple[Server, FakeDomains, list[int]]]:
    domains = FakeDomains(events=Events())
    changes: list[int] = []
    server = Server(
        endpoints,
        services=services_of(domains),
        limits=SessionLimits(),
        capacity=Capacity(clients=max_clients, of_one_user=of_one_user, anonymous=anonymous),
        policy=policy or AccessPolicy(),
        changed=lambda: changes.append(server.clients),
        certificates=certificates,
    )
    server.start()
    try:
        yield server, domains, changes
    finally:
        await server.stop()
        close_endpoints(endpoints)


def connect(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(path))
    client.setblocking(False)
    return client


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(patience(20)):
        while not condition():  # noqa: ASYNC110 - the sockets are the event
            await asyncio.sleep(0.001)


@pytest.mark.parametrize(("wanted", "served"), [(10, 10), (600, 512)])
async def test_clients_get_half_of_the_descriptors_at_most(
    wanted: int, served: int, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(sockets=(), max_clients=wanted, max_clients_per_user=7, max_anonymous_clients=3)
    assert capacity_of(settings, 1024) == Capacity(clients=served, of_one_user=7, anonymous=3)
    assert ("at most 512 clients are served" in caplog.text) is (served < wanted)


async def test_clients_come_and_go_and_are_counted(tmp_path: Path) -> None:
    async with serving(tmp_path / "s") as (server, _, changes):
        with connect(tmp_path / "s"), connect(tmp_path / "s"):
            await until(lambda: server.clients == 2)
        await until(lambda: server.clients == 0)
        assert changes == [1, 2, 1, 0]


async def test_clients_beyond_the_limit_wait_until_one_leaves(tmp_path: Path) -> None:
    async with serving(tmp_path / "s", max_clients=2) as (server, _, _):
        first, second, third = (connect(tmp_path / "s") for _ in range(3))
        await until(lambda: server.clients == 2)
        await asyncio.sleep(0.02)
        assert server.clients == 2
        first.close()
        second.close()
        await until(lambda: server.clients == 1)
        third.close()


async def test_the_read_only_socket_never_takes_all_the_room(tmp_path: Path) -> None:
    async with serving(tmp_path / "s", max_clients=4) as (server, _, _):
        read_only_clients = [connect(tmp_path / "ro") for _ in range(5)]
        await until(lambda: server.clients == 3)
        await asyncio.sleep(0.02)
        assert server.clients == 3
        with connect(tmp_path / "s"):
            await until(lambda: server.clients == 4)
        await until(lambda: server.clients == 3)
        for each in read_only_clients:
            each.close()
        await until(lambda: server.clients == 0)


async def test_a_user_other_than_root_cannot_take_everybodys_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    users = iter([1000, 1000, 1000, 1000, 1001, 0, 0, 0])
    monkeypatch.setattr("insula.daemon.server.peer_of", lambda connection: Peer(pid=1, uid=next(users), gid=1))
    async with serving(tmp_path / "s", of_one_user=2) as (server, _, _):
        first, second = connect(tmp_path / "s"), connect(tmp_path / "s")
        await until(lambda: server.clients == 2)
        for _ in range(2):
            with connect(tmp_path / "s") as refused:
                assert await asyncio.get_running_loop().sock_recv(refused, 1) == b""
        assert caplog.text.count("user 1000 has 2 clients") == 1
        others = [connect(tmp_path / "s") for _ in range(4)]
        await until(lambda: server.clients == 6)
        for each in (first, second, *others):
            each.close()
        await until(lambda: server.clients == 0)


async def test_domains_hear_of_every_client_that_went(tmp_path: Path) -> None:
    async with serving(tmp_path / "s") as (_, domains, _):
        connect(tmp_path / "s").close()
        await until(lambda: domains.gone)
        assert isinstance(domains.gone[0], Session)


async def test_stopping_hangs_up_on_everybody_and_leaves_no_task(tmp_path: Path) -> None:
    async with serving(tmp_path / "s") as (server, domains, _):
        client = connect(tmp_path / "s")
        wire = Connection(Role.CLIENT)
        wire.call(Remote.CONNECT_OPEN, "lxc:///system", 0)
        wire.call(Remote.DOMAIN_SHUTDOWN, DomainRef(WEB.name, WEB.uuid.bytes, -1))
        domains.gate.clear()
        client.sendall(b"".join(data for data, _ in wire.data_to_send()))
        await until(lambda: domains.waiting == 1)
        before = asyncio.all_tasks()
        await server.stop()
        assert domains.waiting == 0 and server.clients == 0
        assert len(asyncio.all_tasks()) < len(before)
        data = b"x"
        while data:
            data = await asyncio.get_running_loop().sock_recv(client, 65536)
        client.close()


async def test_who_came_a_moment_ago_keeps_the_door_open_and_is_served(tmp_path: Path) -> None:
    async with serving(tmp_path / "s") as (server, _, _):
        with connect(tmp_path / "s") as client:
            assert not server.close_door(), "the loop had no time yet to see the client"
            assert server.clients == 1
            wire = Connection(Role.CLIENT)
            wire.call(Remote.AUTH_LIST)
            client.sendall(b"".join(data for data, _ in wire.data_to_send()))
            assert await asyncio.get_running_loop().sock_recv(client, 65536)
            with connect(tmp_path / "s"):
                await until(lambda: server.clients == 2)
        await until(lambda: server.clients == 0)


async def test_a_closed_door_lets_nobody_in(tmp_path: Path) -> None:
    async with serving(tmp_path / "s") as (server, _, _):
        assert server.close_door()
        assert os.listdir(tmp_path) == []


async def test_who_comes_to_a_socket_of_systemds_behind_a_closed_door_waits_for_the_next_daemon(tmp_path: Path) -> None:
    def passed(listener: socket.socket) -> list[Endpoint]:
        ours = listener.dup()
        ours.setblocking(False)
        return open_endpoints(Settings(sockets=()), [PassedSocket(ours, "virtlxcd.socket")])

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        async with serving_at(passed(listener)) as (server, _, _):
            assert server.close_door()
            client = connect(tmp_path / "s")
            await asyncio.sleep(0.02)
            assert server.clients == 0
        async with serving_at(passed(listener)) as (server, _, _):
            await until(lambda: server.clients == 1)
            client.close()
            await until(lambda: server.clients == 0)


async def test_while_a_daemon_stops_nobody_comes_to_be_reset_at_its_end(tmp_path: Path) -> None:
    async with serving(tmp_path / "s") as (server, domains, _):
        client = connect(tmp_path / "s")
        await until(lambda: server.clients == 1)
        domains.gate.clear()
        stopping = asyncio.create_task(server.stop())
        await asyncio.sleep(0)
        assert os.listdir(tmp_path) == []
        domains.gate.set()
        await stopping
        client.close()


class _Pending(AccessPolicy):
    """Everybody has to prove who they are, and nobody ever does."""

    def authentication(
        self, peer: Peer, access: SocketAccess, kind: EndpointKind = EndpointKind.LOCAL
    ) -> Authentication:
        return Authentication() if peer.is_privileged else Authentication(AuthType.POLKIT)


async def test_a_user_has_a_quarter_of_the_places_of_those_that_have_not_proved_who_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = iter([1000, 1000, 1000, 2000, 3000, 4000, 0])
    monkeypatch.setattr("insula.daemon.server.peer_of", lambda _: Peer(pid=4711, uid=next(users), gid=7))
    path = tmp_path / "s"
    endpoints = open_endpoints(Settings(sockets=(SocketSettings(path=path, mode=0o666),)), [])
    async with serving_at(endpoints, policy=_Pending(), anonymous=4) as (server, _, _):
        clients = [connect(path) for _ in range(7)]
        await until(lambda: server.clients == 5)
        for refused in (clients[1], clients[2]):
            assert await asyncio.get_running_loop().sock_recv(refused, 1) == b""
        for each in clients:
            each.close()


async def test_silent_clients_of_many_users_keep_neither_root_nor_any_other_user_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Four with five each have all places; then each newcomer takes one of the busiest, whose first goes."""
    silent = [user for user in (1000, 2000, 3000, 4000) for _ in range(5)]
    newcomers = [5000, 0, 6000, *range(10_000, 10_100)]
    users = iter([*silent, *newcomers])
    monkeypatch.setattr("insula.daemon.server.peer_of", lambda _: Peer(pid=4711, uid=next(users), gid=7))

    class Asking(_Pending):
        """Asks root too, as SASL does."""

        def authentication(
            self, peer: Peer, access: SocketAccess, kind: EndpointKind = EndpointKind.LOCAL
        ) -> Authentication:
            return Authentication(AuthType.SASL)

    path, loop = tmp_path / "s", asyncio.get_running_loop()
    endpoints = open_endpoints(Settings(sockets=(SocketSettings(path=path, mode=0o666),)), [])
    async with serving_at(endpoints, policy=Asking(), max_clients=200) as (server, _, changes):
        clients = [connect(path) for _ in silent]
        await until(lambda: server.clients == 20)
        honest, root, other = connect(path), connect(path), connect(path)
        await until(lambda: len(changes) == 25)
        assert server.clients == 21, "root's takes none of their places"
        for gone in (clients[0], clients[5]):
            assert await loop.sock_recv(gone, 1) == b""
        assert "clients of user 1000 do not prove who they are, and others wait" in caplog.text
        crowd = []
        for _ in range(100):
            came = len(changes)
            crowd.append(connect(path))
            await until(lambda: len(changes) == came + 2)  # noqa: B023 - it is waited for here
        assert server.clients == 21
        for present in (root, crowd[-1]):
            with pytest.raises(BlockingIOError):
                present.recv(1)
        for each in (*clients, honest, root, other, *crowd):
            each.close()


async def test_who_fails_and_hangs_up_keeps_a_place_of_its_user_taken_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a guess would cost a connection, and no second."""
    loop, made = asyncio.get_running_loop(), list[Authentication]()

    class Failing(_Pending):
        def authentication(
            self, peer: Peer, access: SocketAccess, kind: EndpointKind = EndpointKind.LOCAL
        ) -> Authentication:
            made.append(super().authentication(peer, access, kind))
            return made[-1]

    monkeypatch.setattr("insula.daemon.server.peer_of", lambda _: Peer(pid=4711, uid=1000, gid=7))
    path = tmp_path / "s"
    endpoints = open_endpoints(Settings(sockets=(SocketSettings(path=path, mode=0o666),)), [])
    async with serving_at(endpoints, policy=Failing(), anonymous=4) as (server, _, _):
        guesser = connect(path)
        await until(lambda: server.clients == 1)
        made[0].place_until = loop.time() + scaled(2)
        guesser.close()
        await until(lambda: server.clients == 0)
        with connect(path) as again:
            assert await loop.sock_recv(again, 1) == b""
        assert loop.time() < made[0].place_until
        await asyncio.sleep(made[0].place_until - loop.time())
        with connect(path):
            await until(lambda: server.clients == 1)


class _Unshown(Certificates):
    """Hands are offered, and no certificate is ever shown."""

    def __init__(self) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


@pytest.mark.parametrize("kind", [EndpointKind.TLS, EndpointKind.TCP])
async def test_who_proves_nothing_from_afar_takes_no_local_clients_place_nor_anothers_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: EndpointKind
) -> None:
    addresses = itertools.count(1)

    def peer(connection: socket.socket) -> Peer:
        if connection.family == socket.AF_UNIX:
            return Peer(pid=4711, uid=1000, gid=7)
        return Peer(address=f"192.0.2.{next(addresses)}")

    monkeypatch.setattr("insula.daemon.server.peer_of", peer)
    path, loop = tmp_path / "s", asyncio.get_running_loop()
    afar = socket.create_server(("127.0.0.1", 0))
    afar.setblocking(False)
    endpoints = [
        *open_endpoints(Settings(sockets=(SocketSettings(path=path, mode=0o666),)), []),
        Endpoint(
            socket=afar,
            kind=kind,
            path=None,
            access=SocketAccess.READ_WRITE,
            admission=Admission(gid=None, everybody=True),
        ),
    ]
    async with serving_at(endpoints, policy=_Pending(), anonymous=4, certificates=_Unshown()) as (server, _, _):
        clients = [socket.create_connection(afar.getsockname()) for _ in range(5)]
        for each in clients:
            each.setblocking(False)
        assert await loop.sock_recv(clients[0], 1) == b"", "who came first makes room for the fifth"
        local = connect(path)
        await until(lambda: server.clients == (1 if kind is EndpointKind.TLS else 5))
        for each in (*clients, local):
            each.close()
