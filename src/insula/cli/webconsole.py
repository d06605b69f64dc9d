"""A console in a browser: a small page, and a WebSocket that leads to the console. A process of its own, the daemon's
client as any other.

    browser ── http://127.0.0.1:PORT/TOKEN/ ── WebConsole ── the daemon's socket ── the console

On the WebSocket binary messages are what is typed and printed, and texts are JSON: {"rows", "columns"} and {"taken"}
(bytes that the page has shown) from the page, {"state"} and {"text"} to it.
"""

import asyncio
import json
import secrets
import signal
import socket
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from insula.cli.render import show_line
from insula.cli.webgate import FILES, LINE, TYPES, ListeningPlace, WebRefusal, WebRequest, admitted
from insula.errors import InsulaError, OperationInvalidError, UnsupportedConfigError
from insula.kernel.leftsockets import bind_for_owner, file_at, remove_left_socket, remove_own
from insula.rpc.codes.eventcodes import DomainEventId
from insula.rpc.codes.requestcodes import ConsoleFlags
from insula.sdk import verbs
from insula.sdk.async_domains import AsyncDomain, AsyncHost
from insula.sdk.client import Client, connect
from insula.sdk.client_stream import ClientStream

if TYPE_CHECKING:
    from websockets.asyncio.server import Server, ServerConnection
    from websockets.http11 import Request, Response

ASSETS = Path(__file__).parent / "webassets"
UNSHOWN_MAX = 1024 * 1024
"""Bytes that the page may not have shown yet; with more it is sent nothing, and in the end the guest waits."""

TAKEN_OVER, NO_PAGE = 4001, 4002
"""Codes with which a WebSocket is closed."""

_MESSAGE_MAX = 64 * 1024
_HEADERS = {
    "Cache-Control": "no-store",
    "Connection": "close",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def require_parts() -> None:
    """Raises: UnsupportedConfigError saying what to do, if the library or a file of the page is not there."""
    try:
        import websockets.asyncio.server  # noqa: F401
    except ImportError as error:
        raise UnsupportedConfigError(
            "a console in a browser needs the Python package websockets, 14 or newer: pip install 'insula[web]'"
        ) from error
    if missing := sorted(each for each in FILES.values() if not (ASSETS / each).exists()):
        raise UnsupportedConfigError(
            f"a console in a browser needs xterm.js, whose files are not here ({', '.join(missing)}): "
            "run scripts/build-web in the checkout, which takes them from npm"
        )


def offer(socket_path: str, name: str, device: str | None, *, force: bool, place: ListeningPlace) -> int:
    """Offer a domain's console at a place until a signal ends it; return the exit status.

    socket_path: the daemon's. Raises: UnsupportedConfigError, see `require_parts`; OSError if the place is taken.
    """
    require_parts()
    console = WebConsole(socket_path, name, device, force=force)
    with suppress(KeyboardInterrupt):
        asyncio.run(console.serve(place))
    return 0


def listening(place: ListeningPlace) -> socket.socket:
    """Return a socket that is bound, for its owner alone where it has a path. Raises: OSError."""
    if place.path is None:
        family = socket.AF_INET6 if ":" in place.address else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_STREAM)
    else:
        remove_left_socket(place.path)
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if place.path is None:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind((place.address, place.port))
        else:
            bind_for_owner(bound, place.path)
    except BaseException:
        bound.close()
        raise
    return bound


class WebConsole:
    """Serves the page and one WebSocket at a time: who comes anew, as after a reload, takes the former one's place."""

    def __init__(self, socket_path: str, name: str, device: str | None, *, force: bool) -> None:
        self._socket_path = socket_path
        self._name = name
        self._device = device
        self._flags = ConsoleFlags.FORCE if force else ConsoleFlags(0)
        self._token = secrets.token_urlsafe(32)
        self._visit: tuple[ServerConnection, asyncio.Task[None]] | None = None

    async def serve(self, place: ListeningPlace) -> None:
        """Listen until SIGINT or SIGTERM, having told where."""
        from websockets.asyncio.server import serve

        loop, over = asyncio.get_running_loop(), asyncio.Event()
        for each in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(each, over.set)
        server: Server
        bound = listening(place)
        made = None if place.path is None else file_at(place.path)
        async with serve(
            self._attend,
            sock=bound,
            process_request=self._answer,
            compression=None,
            max_size=_MESSAGE_MAX,
            server_header=None,
        ) as server:
            if place.path is None:
                place = place._replace(port=next(iter(server.sockets)).getsockname()[1])
                show_line(f"The console of '{self._name}' is at http://{place.url_host}/{self._token}/", now=True)
            else:
                show_line(f"The console of '{self._name}' is at {place.path}, as /{self._token}/", now=True)
            show_line("Whoever has that address has the console; Ctrl-C ends it.", now=True)
            await over.wait()
        if place.path is not None:
            remove_own(place.path, made)

    def _answer(self, connection: "ServerConnection", request: "Request") -> "Response | None":
        """Answer a request for a file of the page, or refuse it; None lets the WebSocket be opened."""
        headers = request.headers
        origins, hosts = headers.get_all("Origin"), headers.get_all("Host")
        wanted: WebRequest | WebRefusal = WebRefusal.FORBIDDEN
        if len(hosts) == 1 and len(origins) <= 1:
            wanted = admitted(self._token, request.path, hosts[0], origins[0] if origins else None)
        if isinstance(wanted, WebRequest) and wanted.name == LINE:
            return None
        if isinstance(wanted, WebRefusal):
            return self._response(HTTPStatus(wanted.value), b"this is not the address of a console\n", ".txt")
        file = ASSETS / FILES[wanted.name]
        return self._response(HTTPStatus.OK, file.read_bytes(), file.suffix)

    @staticmethod
    def _response(status: HTTPStatus, body: bytes, suffix: str) -> "Response":
        from websockets.datastructures import Headers
        from websockets.http11 import Response

        headers = Headers(_HEADERS)
        headers["Content-Type"] = TYPES.get(suffix, "text/plain; charset=utf-8")
        headers["Content-Length"] = str(len(body))
        return Response(status.value, status.phrase, headers, body)

    async def _attend(self, browser: "ServerConnection") -> None:
        present = asyncio.current_task()
        assert present is not None
        former, self._visit = self._visit, (browser, present)
        if former is not None and not former[1].done():
            await former[0].close(TAKEN_OVER, "the console was opened elsewhere")
            await asyncio.wait([former[1]])
        visit = _Visit(browser, self._device, self._flags)
        try:
            async with await connect(self._socket_path) as client:
                await visit.attend(client, await AsyncHost(client).domain(self._name))
        except InsulaError as error:
            await visit.tell(state="lost", text=str(error))
        except (ValueError, KeyError, TypeError):
            await browser.close(NO_PAGE, "that is not what the page says")


class _Visit:
    """One browser at the console."""

    def __init__(self, browser: "ServerConnection", device: str | None, flags: ConsoleFlags) -> None:
        self._browser = browser
        self._device = device
        self._flags = flags
        self._stream: ClientStream | None = None
        self._window: tuple[int, int] | None = None
        self._sent = self._taken = 0
        self._shown = asyncio.Event()

    async def tell(self, **words: str) -> None:
        from websockets.exceptions import ConnectionClosed

        with suppress(ConnectionClosed):
            await self._browser.send(json.dumps(words))

    async def attend(self, client: Client, found: AsyncDomain) -> None:
        """Lead to the console as long as the browser is there: over the guest's ends and starts."""
        ways = [asyncio.create_task(self._outwards(client, found)), asyncio.create_task(self._inwards(found))]
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                each.result()
        finally:
            for each in ways:
                each.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _outwards(self, client: Client, found: AsyncDomain) -> None:
        from websockets.exceptions import ConnectionClosed

        await client.run(verbs.register(DomainEventId.LIFECYCLE, found.ref))  # before it is looked at
        with suppress(ConnectionClosed):
            while True:
                try:
                    self._stream = await found.console(self._device, self._flags)
                except OperationInvalidError:
                    await self.tell(state="off")
                    await client.next_message()
                    continue
                await self.tell(state="on")
                await self._resize(found)
                async with self._stream:
                    await self._show(self._stream)
                self._stream = None

    async def _show(self, stream: ClientStream) -> None:
        while piece := await stream.read():
            if not isinstance(piece, bytes):
                continue
            while self._sent - self._taken > UNSHOWN_MAX:
                self._shown.clear()
                await self._shown.wait()
            await self._browser.send(piece)
            self._sent += len(piece)

    async def _inwards(self, found: AsyncDomain) -> None:
        async for message in self._browser:
            if isinstance(message, bytes):
                if self._stream is not None and not self._stream.ended:
                    await self._stream.send(message)
            else:
                await self._heard(found, message)

    async def _heard(self, found: AsyncDomain, text: str) -> None:
        """Take the page's word. Raises: ValueError, KeyError, TypeError for what no page of ours says."""
        words = json.loads(text)
        if "taken" in words:
            self._taken = int(words["taken"])
            self._shown.set()
        else:
            self._window = int(words["rows"]), int(words["columns"])
            await self._resize(found)

    async def _resize(self, found: AsyncDomain) -> None:
        if self._window is not None and self._stream is not None:
            with suppress(InsulaError):  # it may have ended by now
                await found.resize_console(*self._window, self._device)
