"""Hosts and domains, async: the twin of the blocking ones, in names and in deeds."""

import inspect
import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from insula.model.domainstates import LifecycleKind
from insula.sdk import async_domains, blocking_domains
from insula.sdk.async_domains import AsyncHost
from insula.sdk.connecting import connect_async
from insula.sdk.values import ExecRequest
from tests.fakeserver import FakeServer
from tests.unit.sdk.answers import RUNNING, WEB

BLOCKING_ONLY = {"next"}
"""What a blocking iterator needs for its time limit; `asyncio.timeout` does that for the async one."""


@pytest_asyncio.fixture
async def host(server: FakeServer) -> AsyncIterator[AsyncHost]:
    async with await connect_async(server.path) as opened:
        yield opened


def public(kind: type) -> dict[str, tuple[list[inspect.Parameter], str | None]]:
    """Public methods with their parameters, with types and defaults, and their documentation."""
    members = inspect.getmembers(kind, inspect.isfunction)
    return {
        name: (list(inspect.signature(each).parameters.values()), inspect.getdoc(each))
        for name, each in members
        if not name.startswith("_")
    }


@pytest.mark.parametrize(
    ("blocking", "twin"),
    [
        (blocking_domains.Host, async_domains.AsyncHost),
        (blocking_domains.Domain, async_domains.AsyncDomain),
        (blocking_domains.Execution, async_domains.AsyncExecution),
        (blocking_domains.LifecycleWatch, async_domains.AsyncLifecycleWatch),
    ],
)
def test_the_twins_have_the_same_verbs_with_the_same_parameters_and_documentation(blocking: type, twin: type) -> None:
    expected = {name: parameters for name, parameters in public(blocking).items() if name not in BLOCKING_ONLY}
    assert public(twin) == expected


@pytest.mark.parametrize("kind", [async_domains.AsyncHost, async_domains.AsyncDomain, async_domains.AsyncExecution])
def test_every_verb_of_the_async_twin_is_awaited(kind: type) -> None:
    assert [name for name in public(kind) if not inspect.iscoroutinefunction(getattr(kind, name))] in ([], ["close"])


@pytest.mark.asyncio
async def test_domains_are_found_and_live(host: AsyncHost) -> None:
    (web,) = await host.domains()
    assert web.ref == (await host.domain("web")).ref == WEB
    await web.start()
    assert web.ref == RUNNING
    assert (await web.state()).state == 1
    assert await web.xml() == "<domain/>"
    assert (await web.wait()).reason == "shutdown"
    assert await host.images() == [{"name": "debian-12"}]


@pytest.mark.asyncio
async def test_a_program_runs_in_a_domain(host: AsyncHost) -> None:
    web = await host.domain("web")
    running = await web.execute(ExecRequest(("sh",), tty=True))
    assert running.terminal is not None
    assert b'"tty": true' in os.read(running.terminal, 100)
    os.close(running.terminal)
    await running.signal(15)
    assert await running.wait() == 256


@pytest.mark.asyncio
async def test_streams_are_iterated(host: AsyncHost) -> None:
    web = await host.domain("web")
    async with await web.log("console") as lines:
        assert [line async for line in lines] == [b"one\n", b"two\n"]
    async with await web.console() as console:
        assert await console.read() == b"login: "
    async with await host.build_image("new", {}) as progress:
        assert [line async for line in progress] == [b"one\n", b"two\n"]


@pytest.mark.asyncio
async def test_what_happens_is_iterated(host: AsyncHost) -> None:
    web = await host.domain("web")
    async with await host.lifecycle() as events:
        await web.start()
        await web.destroy()
        seen = aiter(events)
        assert [(await anext(seen)).event, (await anext(seen)).event] == [
            LifecycleKind.STARTED,
            LifecycleKind.STOPPED,
        ]
