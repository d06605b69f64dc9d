"""The metrics endpoint: what it answers, to whom, and what a client can cost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from insula.daemon import metricsserver
from insula.daemon.metricsserver import CLIENTS_MOST, MetricsServer
from insula.daemon.metricssettings import MetricsSettings
from insula.errors import ConfigurationError
from insula.service import bulkstats
from insula.service.disks import DiskVerbs
from insula.service.domains import Domains
from tests.unit.daemon.fakes import WEB, managed
from tests.waiting import patience

pytestmark = pytest.mark.asyncio
HOST = "127.0.0.1"


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is hung up on because this machine is slow, unless a test says so."""
    for name in ("_REQUEST_SECONDS", "_ANSWER_SECONDS"):
        monkeypatch.setattr(metricsserver, name, 3600.0)


@asynccontextmanager
async def serving(settings: MetricsSettings | None = None) -> AsyncIterator[tuple[MetricsServer, MetricsSettings]]:
    """One with a domain that is off."""
    domains = Domains()
    domains.add(managed(WEB.name, WEB.uuid))
    settings = settings or MetricsSettings(host=HOST)
    server = MetricsServer(settings, domains, DiskVerbs(), "1.2")
    await server.start()
    assert server._server is not None
    if settings.path is None:
        settings = MetricsSettings(host=HOST, port=server._server.sockets[0].getsockname()[1])
    try:
        yield server, settings
    finally:
        await server.close()


async def connected(settings: MetricsSettings) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if settings.path is not None:
        return await asyncio.open_unix_connection(settings.path)
    return await asyncio.open_connection(settings.host, settings.port)


async def answer(settings: MetricsSettings, request: str) -> tuple[str, dict[str, str], str]:
    """Return the status, the fields of the head and the body of the answer."""
    async with asyncio.timeout(patience(20)):
        reader, writer = await connected(settings)
        writer.write(request.encode())
        head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
        writer.close()
    first, *rest = head.split("\r\n")
    return first.partition(" ")[2], dict(each.split(": ", 1) for each in rest), body


async def nothing(reader: asyncio.StreamReader) -> bool:
    """Whether the other end hangs up without a word, in either way there is."""
    with suppress(ConnectionError):
        return await reader.read() == b""
    return True


def get(path: str = "/metrics", host: str = HOST, method: str = "GET", accept: str = "*/*") -> str:
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nAccept: {accept}\r\n\r\n"


async def test_metrics_are_told_whole_with_their_type_and_length() -> None:
    async with serving() as (_, settings):
        status, fields, body = await answer(settings, get())
        assert status == "200 OK" and int(fields["Content-Length"]) == len(body)
        assert fields["Content-Type"].startswith("text/plain; version=0.0.4")
        assert f'insula_domain_state{{domain="{WEB.name}",uuid="{WEB.uuid}"}} 5\n' in body
        _, fields, body = await answer(settings, get(accept="application/openmetrics-text"))
        assert fields["Content-Type"].startswith("application/openmetrics-text") and body.endswith("# EOF\n")
        assert (await answer(settings, get(method="HEAD")))[2] == ""


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        (get("/"), "404 Not Found"),
        (get("/metrics?name[]=a"), "200 OK"),
        (get(method="POST"), "405 Method Not Allowed"),
        (get(host="evil.example:9177"), "403 Forbidden"),
        (get(host=""), "403 Forbidden"),
        (get(host="localhost:9177"), "200 OK"),
        (get(host="[::1]:9177"), "200 OK"),
        ("GET /metrics\r\n\r\n", "400 Bad Request"),
    ],
)
async def test_what_else_is_asked_is_refused(request_text: str, status: str) -> None:
    async with serving() as (_, settings):
        assert (await answer(settings, request_text))[0] == status


async def test_a_socket_is_for_those_who_may_open_it_whatever_they_call_it(tmp_path: Path) -> None:
    path = tmp_path / "m"
    settings = MetricsSettings(path=path, mode=0o600)
    async with serving(settings):
        assert path.stat().st_mode & 0o777 == 0o600
        assert (await answer(settings, get(host="proxy.example")))[0] == "200 OK"
    assert not path.exists()


async def test_many_who_ask_at_once_are_told_one_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = []
    real = bulkstats.all_stats

    def counted(*words: Any) -> Any:
        readings.append(words)
        return real(*words)

    monkeypatch.setattr(bulkstats, "all_stats", counted)
    monkeypatch.setattr(metricsserver, "_YOUNG", 3600.0)
    async with serving() as (_, settings):
        answers = await asyncio.gather(*(answer(settings, get()) for _ in range(CLIENTS_MOST // 2)))
        answers.append(await answer(settings, get(accept="application/openmetrics-text")))
        assert [status for status, _, _ in answers] == ["200 OK"] * len(answers) and len(readings) == 1


async def test_an_old_reading_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metricsserver, "_YOUNG", 0.0)
    monkeypatch.setattr(metricsserver, "_REST", 0.0)
    async with serving() as (server, settings):
        await answer(settings, get())
        server._domains.add(managed("later", UUID(int=77)))
        assert 'domain="later"' in (await answer(settings, get()))[2]


async def crowd(server: MetricsServer, settings: MetricsSettings, request: bytes) -> list[asyncio.StreamWriter]:
    """As many clients as there may be, each of whom has come in and said so much."""
    writers = []
    for _ in range(CLIENTS_MOST):
        _, writer = await connected(settings)
        writer.write(request)
        writers.append(writer)
    while len(server._clients) < CLIENTS_MOST or not all(server._clients.values()):  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    return writers


async def test_who_says_nothing_gives_way_to_others() -> None:
    async with serving() as (server, settings), asyncio.timeout(patience(20)):
        idle_first = await connected(settings)
        while not server._clients:  # noqa: ASYNC110 - accepting has no event of its own
            await asyncio.sleep(0.001)
        idle = [await connected(settings) for _ in range(CLIENTS_MOST - 1)]
        assert (await answer(settings, get()))[0] == "200 OK"
        assert await nothing(idle_first[0])
        for _, each in (idle_first, *idle):
            each.close()


async def test_one_too_many_of_those_who_have_asked_is_hung_up_on_and_served_again_when_some_have_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate = asyncio.Event()

    async def held(self: MetricsServer, form: Any) -> list[bytes]:
        await gate.wait()
        return [b"text"]

    monkeypatch.setattr(MetricsServer, "_text", held)
    async with serving() as (server, settings), asyncio.timeout(patience(20)):
        writers = await crowd(server, settings, get().encode())
        reader, writer = await connected(settings)
        assert await nothing(reader)
        gate.set()
        for each in (*writers, writer):
            each.close()
        while server._clients:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        assert (await answer(settings, get()))[0] == "200 OK"


@pytest.mark.parametrize("sent", [b"GET /metrics HTTP/1.1\r\n" + b"x" * 20000, b"GET /met"])
async def test_a_request_without_end_is_hung_up_on(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metricsserver, "_REQUEST_SECONDS", 0.05)
    async with serving() as (_, settings), asyncio.timeout(patience(20)):
        reader, writer = await connected(settings)
        writer.write(sent)
        assert await nothing(reader)
        writer.close()


async def test_who_does_not_take_an_answer_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metricsserver, "exposition", lambda *_: ["x" * (1 << 20)] * 32)
    monkeypatch.setattr(metricsserver, "_ANSWER_SECONDS", 0.05)
    async with serving() as (server, settings), asyncio.timeout(patience(20)):
        reader, writer = await asyncio.open_connection(settings.host, settings.port, limit=1024)
        writer.write(get().encode())
        await reader.readexactly(4)  # it has begun to answer
        while server._clients:  # noqa: ASYNC110 - its end has no event of its own
            await asyncio.sleep(0.001)
        writer.transport.abort()


async def test_a_disk_that_does_not_answer_is_asked_once_and_keeps_nobody_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("_YOUNG", "_REST", "_SIZES_SECONDS"):
        monkeypatch.setattr(metricsserver, name, 0.0)
    monkeypatch.setattr(bulkstats, "disks_in", lambda *_: ["/srv/silent"])
    asked = []

    async def never(_: DiskVerbs, sources: list[str]) -> dict[str, Any]:
        asked.append(sources)
        await asyncio.Event().wait()
        return {}

    monkeypatch.setattr(DiskVerbs, "sizes", never)
    async with serving() as (_, settings):
        for _ in range(3):
            assert (await answer(settings, get()))[0] == "200 OK"
    assert asked == [["/srv/silent"]]


async def test_what_cannot_be_read_is_told_and_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(bulkstats, "counters", broken)
    async with serving() as (_, settings):
        assert (await answer(settings, get()))[0] == "500 Internal Server Error"
    assert "Too many open files" in caplog.text


async def test_a_port_that_somebody_has_is_named() -> None:
    async with serving() as (_, settings):
        server = MetricsServer(settings, Domains(), DiskVerbs(), "1.2")
        with pytest.raises(ConfigurationError, match=f"cannot listen for metrics on 127.0.0.1 port {settings.port}"):
            await server.start()
