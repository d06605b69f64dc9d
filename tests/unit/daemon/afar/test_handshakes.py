"""Handshakes over a socket pair: who is welcome, who is not, and that none lasts."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from insula.daemon.afar import handshakes as handshakes_module
from insula.daemon.afar.certificates import Certificates
from insula.daemon.afar.handshakes import Handshakes
from insula.daemon.complaints import Complaints
from insula.daemon.config import SocketAccess
from insula.daemon.listener import Endpoint, EndpointKind
from insula.daemon.peers import Admission, Peer
from insula.daemon.remotesettings import TlsSettings
from tests.authority import Authority
from tests.waiting import patience

pytestmark = [pytest.mark.asyncio, pytest.mark.requires("openssl")]
SOMEBODY = Peer(address="192.0.2.7")


@dataclass(kw_only=True)
class Door:
    handshakes: Handshakes
    settings: TlsSettings
    certificates: Certificates
    authority: Authority
    endpoint: Endpoint
    directory: Path
    welcomed: list[tuple[ssl.SSLSocket, Peer]] = field(default_factory=list)

    def connect(self, peer: Peer = SOMEBODY) -> socket.socket:
        """Begin a handshake, and return the client's end."""
        listener = socket.create_server(("127.0.0.1", 0))
        with listener:
            client = socket.create_connection(listener.getsockname())
            connection, _ = listener.accept()
        self.handshakes.begin(connection, peer, self.endpoint)
        return client

    async def shake(self, client: socket.socket, identity: Path | None = None) -> bytes:
        """Shake hands as a client, and return what the server says first; nothing if it says good-bye."""
        context = ssl.create_default_context(cafile=self.settings.authority)
        context.check_hostname = False
        if identity is not None:
            context.load_cert_chain(identity / "clientcert.pem", identity / "clientkey.pem")

        def talk() -> bytes:
            client.settimeout(patience(60))
            with suppress(OSError), context.wrap_socket(client, server_hostname="localhost") as tls:
                return tls.recv(10)
            return b""

        return await asyncio.to_thread(talk)

    async def over(self) -> None:
        async with asyncio.timeout(patience(60)):
            while len(self.handshakes):  # noqa: ASYNC110 - the sockets are the event
                await asyncio.sleep(0.001)


@asynccontextmanager
async def door(directory: Path) -> AsyncIterator[Door]:
    authority = Authority(directory / "authority")
    server = authority.issue("server", "/CN=server", directory / "server")
    settings = TlsSettings(
        authority=server / "cacert.pem",
        revocations=server / "revoked.pem",
        certificate=server / "servercert.pem",
        key=server / "serverkey.pem",
    )
    certificates = Certificates(settings)
    with socket.socket() as listener:
        admission = Admission(gid=None, everybody=True)
        endpoint = Endpoint(
            socket=listener, path=None, access=SocketAccess.READ_WRITE, admission=admission, kind=EndpointKind.TLS
        )
        made: Door

        def welcome(tls: ssl.SSLSocket, peer: Peer, _: Endpoint) -> None:
            made.welcomed.append((tls, peer))

        made = Door(
            handshakes=Handshakes(certificates, Complaints(), welcome),
            settings=settings, certificates=certificates, authority=authority, endpoint=endpoint, directory=directory,
        )  # fmt: skip
        try:
            yield made
        finally:
            await made.handshakes.close()
            for tls, _ in made.welcomed:
                tls.close()


async def test_whom_the_authority_knows_is_welcome_by_name(tmp_path: Path) -> None:
    async with door(tmp_path) as here:
        anna = here.authority.issue("client", "/O=Insula/CN=anna", tmp_path / "anna")
        assert await here.shake(here.connect(), anna) == b"\1"
        await here.over()
        ((_, peer),) = here.welcomed
        assert (peer.name, peer.address, peer.account) == ("O=Insula,CN=anna", "192.0.2.7", "'O=Insula,CN=anna'")


async def test_who_shows_no_certificate_or_has_another_name_is_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with door(tmp_path) as here:
        assert await here.shake(here.connect()) == b""
        here.certificates.reload(replace(here.settings, allowed_names=("CN=bert",)))
        anna = here.authority.issue("client", "/CN=anna", tmp_path / "anna")
        assert await here.shake(here.connect(), anna) == b""
        await here.over()
        assert not here.welcomed and "somebody from 192.0.2.7 did not come in by TLS" in caplog.text


async def test_who_says_nothing_is_hung_up_on_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshakes_module, "HANDSHAKE_SECONDS", 0.05)
    async with door(tmp_path) as here:
        with here.connect() as client:
            assert here.handshakes.of(SOMEBODY.account) == 1
            client.setblocking(False)
            async with asyncio.timeout(patience(60)):
                assert await asyncio.get_running_loop().sock_recv(client, 1) == b""
        await here.over()
        assert here.handshakes.of(SOMEBODY.account) == 0 and not here.welcomed


async def test_the_end_gives_up_what_is_under_way(tmp_path: Path) -> None:
    async with door(tmp_path) as here:
        with here.connect() as client:
            client.sendall(b"\x16\x03\x01\x02\x00")
            await asyncio.sleep(0)
            await here.handshakes.close()
            assert len(here.handshakes) == 0


async def test_who_is_slow_makes_room_for_others_and_the_busiest_network_first(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    slow, busy = Peer(address="192.0.2.1"), Peer(address="2001:db8::1")
    async with door(tmp_path) as here:
        clients = [here.connect(each) for each in (slow, busy, busy, SOMEBODY)]
        here.handshakes.make_room(5)
        assert len(here.handshakes) == 4, "there is room"
        here.handshakes.make_room(4)
        assert len(here.handshakes) == 3 and here.handshakes.of(busy.account) == 1
        assert await _last_word(clients[1]) == b"", "the first of the busiest network"
        here.handshakes.make_room(3)
        assert here.handshakes.of(slow.account) == 0 and await _last_word(clients[0]) == b""
        assert "2001:db8::1 is hung up on: its handshake takes long" in caplog.text

        anna = here.authority.issue("client", "/CN=anna", tmp_path / "anna")
        assert await here.shake(clients[3], anna) == b"\1", "who was not asked to go is welcome"
        for each in clients:
            each.close()


async def _last_word(client: socket.socket) -> bytes:
    client.setblocking(False)
    async with asyncio.timeout(patience(60)):
        return await asyncio.get_running_loop().sock_recv(client, 1)


async def test_an_authority_that_was_taken_back_vouches_for_nobody(tmp_path: Path) -> None:
    async with door(tmp_path) as here:
        middle = Authority(tmp_path / "middle", "middle", above=here.authority)
        anna = middle.issue("client", "/CN=anna", tmp_path / "anna")
        with (anna / "clientcert.pem").open("ab") as shown:
            shown.write(middle.certificate.read_bytes())
        _lists(here.settings.revocations, here.authority, middle)
        here.certificates.reload(here.settings)
        assert await here.shake(here.connect(), anna) == b"\1"

        here.authority.revoke(middle.certificate)
        _lists(here.settings.revocations, here.authority, middle)
        here.certificates.reload(here.settings)
        assert await here.shake(here.connect(), anna) == b""
        await here.over()


def _lists(file: Path, *authorities: Authority) -> None:
    """Write what several authorities have taken back."""
    written = b""
    for each in authorities:
        each.revocations(file)
        written += file.read_bytes()
    file.write_bytes(written)
