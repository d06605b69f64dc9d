"""The metrics endpoint: HTTP for one page that is only read, at a socket of its own; off unless it is asked for.

Whoever may connect may read. What they can cost is bounded: so many at a time, of whom those who say nothing give way
to others, so much of a request, so long for each; and a text serves all who ask until five times as long has passed as
it took to make, a second at least.
"""

import asyncio
import ipaddress
import logging
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

from insula.daemon.config import SocketAccess, SocketSettings
from insula.daemon.exposition import TextFormat, exposition, wanted_format
from insula.daemon.listener import Endpoint, close_endpoints, make_endpoint
from insula.daemon.metricssettings import MetricsSettings
from insula.errors import ConfigurationError
from insula.service import bulkstats, metrics
from insula.service.disks import DiskSize, DiskVerbs
from insula.service.domains import Domains

_logger = logging.getLogger(__name__)

CLIENTS_MOST = 16
_REQUEST_MOST = 8192
"""Bytes of a request's lines."""
_REQUEST_SECONDS = 5.0
_ANSWER_SECONDS = 30.0
_SIZES_SECONDS = 2.0
_PLAIN = "text/plain; charset=utf-8"
_PIECE = 65536
"""Bytes that are on their way to a client at most."""
_DOMAINS_A_TURN = 2
_REST = 5.0
"""The longest share of the daemon's time that metrics take is one in so many."""
_YOUNG = 1.0
"""Seconds for which a text is told again at least."""


class _RefusedError(Exception):
    """A request that is not answered with metrics."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status = status


@dataclass(frozen=True, kw_only=True, slots=True)
class _MetricsReading:
    """What was read. old: the moment from which it is to be read again; texts: in the formats that were asked for."""

    samples: metrics.Samples
    seconds: float
    old: float
    texts: dict[TextFormat, list[bytes]] = field(default_factory=dict)


class MetricsServer:
    """Answers scrapes. version: ours."""

    def __init__(self, settings: MetricsSettings, domains: Domains, disks: DiskVerbs, version: str) -> None:
        self._settings = settings
        self._domains = domains
        self._disks = disks
        self._version = version
        self._endpoint: Endpoint | None = None
        self._server: asyncio.Server | None = None
        self._clients: dict[asyncio.Task[None], bool] = {}
        """Who came first stands first; whether it has said yet what it wants."""
        self._reading: _MetricsReading | None = None
        self._turn = asyncio.Lock()
        self._sizing: asyncio.Task[Mapping[str, DiskSize]] | None = None

    async def start(self) -> None:
        """Listen. Raises: ConfigurationError where that cannot be."""
        settings = self._settings
        if settings.path is not None:
            given = SocketSettings(
                path=settings.path, mode=settings.mode, group=settings.group, access=SocketAccess.READ_ONLY
            )
            self._endpoint = make_endpoint(given)
            listening = self._endpoint.socket
        else:
            listening = _loopback(settings.host, settings.port)
        self._server = await asyncio.start_server(self._came, sock=listening, limit=_REQUEST_MOST)
        _logger.info("metrics are told at %s", settings)

    async def close(self) -> None:
        """Listen no more, and hang up on everybody."""
        if self._server is not None:
            self._server.close()
        for each in (*self._clients, *((self._sizing,) if self._sizing is not None else ())):
            each.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        if self._endpoint is not None:
            close_endpoints([self._endpoint])

    def _came(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._clients) >= CLIENTS_MOST:
            silent = next((task for task, has_asked in self._clients.items() if not has_asked), None)
            if silent is None:
                writer.transport.abort()
                return
            del self._clients[silent]
            silent.cancel()
        task = asyncio.create_task(self._serve(reader, writer), name="metrics")
        self._clients[task] = False
        task.add_done_callback(lambda _: self._clients.pop(task, None))
        task.add_done_callback(lambda _: writer.transport.abort())  # one that gave way before its turn never began

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request, then hang up; on a client that is late at once."""
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            self._has_asked()
            status, content, body = await self._answer(lines)
            async with asyncio.timeout(_ANSWER_SECONDS):
                await _send(writer, _head(status, content, body), () if lines[0].startswith("HEAD ") else body)
                writer.close()
                await writer.wait_closed()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            _logger.debug("a client of the metrics was hung up on: %r", error)
        finally:
            writer.transport.abort()

    def _has_asked(self) -> None:
        task = asyncio.current_task()
        if task in self._clients:
            self._clients[task] = True

    async def _answer(self, lines: Sequence[str]) -> tuple[HTTPStatus, str, Sequence[bytes]]:
        """Return status, type and pieces of what a request is answered with."""
        try:
            form = self._asked(lines)
            return HTTPStatus.OK, form.value, await self._text(form)
        except _RefusedError as refused:
            return refused.status, _PLAIN, (f"{refused}\n".encode(),)
        except Exception:
            _logger.exception("metrics cannot be read")
            return HTTPStatus.INTERNAL_SERVER_ERROR, _PLAIN, (b"metrics cannot be read: insulad's log says why\n",)

    def _asked(self, lines: Sequence[str]) -> TextFormat:
        """Return the format that a request wants. Raises: _RefusedError."""
        method, _, rest = lines[0].partition(" ")
        path, _, protocol = rest.partition(" ")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        if not protocol.startswith("HTTP/1."):
            raise _RefusedError(HTTPStatus.BAD_REQUEST, "this speaks HTTP/1")
        if method not in ("GET", "HEAD"):
            raise _RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, "metrics are only read: GET")
        if self._settings.path is None and not _is_here(fields.get("host", "")):
            raise _RefusedError(HTTPStatus.FORBIDDEN, "metrics are for this host: ask for a loopback address")
        if path.partition("?")[0] != "/metrics":
            raise _RefusedError(HTTPStatus.NOT_FOUND, "there is /metrics, and nothing else")
        return wanted_format(fields.get("accept", ""))

    async def _text(self, form: TextFormat) -> list[bytes]:
        """Return the metrics in pieces, read anew if the last reading is old."""
        async with self._turn:
            if self._reading is None or time.monotonic() >= self._reading.old:
                self._reading = await self._read()
            reading = self._reading
            if form not in reading.texts:
                pieces = []
                for text in exposition(reading.samples, self._version, reading.seconds, form):
                    pieces.append(text.encode())
                    await asyncio.sleep(0)
                reading.texts[form] = pieces
            return reading.texts[form]

    async def _read(self) -> _MetricsReading:
        """Read all domains, a few a turn, so that others are served too."""
        began = time.monotonic()
        samples, domains = metrics.Samples(), list(self._domains)
        sizes = await self._sizes(disks) if (disks := bulkstats.disks_in(domains, metrics.GROUPS)) else {}
        gathered = bulkstats.Gathered(counters=bulkstats.counters(domains, metrics.GROUPS), sizes=sizes)
        for start in range(0, len(domains), _DOMAINS_A_TURN):
            there = [each for each in domains[start : start + _DOMAINS_A_TURN] if not each.gone]
            for managed, (_, told) in zip(there, bulkstats.all_stats(there, metrics.GROUPS, gathered), strict=True):
                samples.add(managed, told)
            await asyncio.sleep(0)
        now = time.monotonic()
        return _MetricsReading(samples=samples, seconds=now - began, old=now + max(_YOUNG, _REST * (now - began)))

    async def _sizes(self, disks: Sequence[str]) -> Mapping[str, DiskSize]:
        """Return how large disks are; nothing as long as one that was looked at, maybe by an earlier reading, does not
        answer: one thread waits for it, however often others ask."""
        if self._sizing is None or self._sizing.done():
            self._sizing = asyncio.create_task(self._disks.sizes(disks), name="sizes of disks")
        done, _ = await asyncio.wait({self._sizing}, timeout=_SIZES_SECONDS)
        return self._sizing.result() if done else {}


async def metrics_server(
    settings: MetricsSettings | None, domains: Domains, disks: DiskVerbs, version: str
) -> MetricsServer | None:
    """Tell metrics if the settings say so; whoever has taken the port keeps no guest from its daemon."""
    if settings is None:
        return None
    server = MetricsServer(settings, domains, disks, version)
    try:
        await server.start()
    except ConfigurationError as error:
        _logger.error("no metrics are told: %s", error)
        return None
    return server


def _loopback(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises: ConfigurationError."""
    family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=CLIENTS_MOST)
    except OSError as error:
        raise ConfigurationError(f"cannot listen for metrics on {host} port {port}: {error.strerror}") from error


def _is_here(host: str) -> bool:
    """Whether a request was meant for this host: a browser that was led here by another's name says that name."""
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _head(status: HTTPStatus, content: str, body: Sequence[bytes]) -> bytes:
    lines = (
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Content-Type: {content}",
        f"Content-Length: {sum(map(len, body))}",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
    )
    return "\r\n".join([*lines, "", ""]).encode()


async def _send(writer: asyncio.StreamWriter, head: bytes, body: Sequence[bytes]) -> None:
    """Send an answer, no faster than it is taken."""
    writer.transport.set_write_buffer_limits(high=_PIECE)
    writer.write(head)
    for each in body:
        for start in range(0, len(each), _PIECE):
            writer.write(each[start : start + _PIECE])
            await writer.drain()
