"""The methods that are made of verbs: what they look like to a reader, to `help`, and to a type checker.

Each `assert_type` here is a claim that mypy checks with the rest of the tests; the lines that it must refuse say so.
"""

import inspect
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, assert_type

import pytest

from insula.model.numbers import Affect, MetadataType
from insula.rpc.codes.requestcodes import StartFlags
from insula.sdk import verbs
from insula.sdk.async_domains import AsyncDomain, AsyncHost, AsyncLifecycleWatch
from insula.sdk.blocking_domains import Domain, Host, LifecycleWatch
from insula.sdk.blocking_stream import BlockingStream
from insula.sdk.client_stream import ClientStream
from insula.sdk.connecting import connect, connect_async
from insula.sdk.values import Json, Outcome, State, Statistics, Usage
from tests.fakeserver import FakeServer

WRITTEN_OUT = {"close", "execute"}
"""Methods of hosts and domains that are more than a verb: one speaks to no daemon, one relays what a program says."""


def made(kind: type) -> Iterator[tuple[str, Any]]:
    for name, each in inspect.getmembers(kind, inspect.isfunction):
        if not name.startswith("_") and name not in WRITTEN_OUT:
            yield name, each


def test_a_blocking_verb_has_its_exact_type(server: FakeServer) -> None:
    with connect(server.path) as host:
        web = assert_type(host.domain("web"), Domain)
        assert_type(host.domains(), list[Domain])
        assert_type(host.define("<domain/>"), Domain)
        assert_type(host.hostname(), str)
        assert_type(host.images(), list[Json])
        assert_type(host.statistics(), list[Statistics])
        starts: Callable[[StartFlags | int], None] = web.start
        starts(StartFlags.PAUSED)
        assert_type(web.state(), State)
        assert_type(web.usage(), Usage)
        assert_type(web.is_active(), bool)
        assert_type(web.wait(), Outcome)
        assert_type(web.metadata(MetadataType.TITLE, flags=Affect.CURRENT), str)
        with host.lifecycle(web.ref) as events:
            assert_type(events, LifecycleWatch)
        with web.log("console", follow=False) as lines:
            assert_type(lines, BlockingStream)


@pytest.mark.asyncio
async def test_an_async_verb_has_its_exact_type(server: FakeServer) -> None:
    async with await connect_async(server.path) as host:
        web = assert_type(await host.domain("web"), AsyncDomain)
        assert_type(await host.domains(), list[AsyncDomain])
        assert_type(await host.define("<domain/>"), AsyncDomain)
        assert_type(await host.hostname(), str)
        assert_type(await host.images(), list[Json])
        assert_type(await host.statistics(), list[Statistics])
        starts: Callable[[StartFlags | int], Coroutine[Any, Any, None]] = web.start
        await starts(StartFlags.PAUSED)
        assert_type(await web.state(), State)
        assert_type(await web.usage(), Usage)
        assert_type(await web.is_active(), bool)
        assert_type(await web.wait(), Outcome)
        assert_type(await web.metadata(MetadataType.TITLE, flags=Affect.CURRENT), str)
        async with await host.lifecycle(web.ref) as events:
            assert_type(events, AsyncLifecycleWatch)
        async with await web.log("console", follow=False) as lines:
            assert_type(lines, ClientStream)


def test_a_wrong_use_is_refused_by_the_type_checker_and_by_python(server: FakeServer) -> None:
    with connect(server.path) as host:
        web = host.domain("web")
        with pytest.raises(TypeError):
            web.set_autostart(True)  # type: ignore[call-arg]  # what is wanted has a name
        with pytest.raises(TypeError):
            web.shutdown(0)  # type: ignore[call-arg]
        with pytest.raises(TypeError):
            host.define()  # type: ignore[call-arg]
        with pytest.raises(TypeError):
            host.define(text="<domain/>")  # type: ignore[call-arg]


@pytest.mark.asyncio
async def test_a_wrong_use_of_the_async_face_is_refused_likewise(server: FakeServer) -> None:
    async with await connect_async(server.path) as host:
        web = await host.domain("web")
        with pytest.raises(TypeError):
            await web.set_autostart(True)  # type: ignore[call-arg]
        with pytest.raises(TypeError):
            await host.define(text="<domain/>")  # type: ignore[call-arg]


def test_a_method_shows_its_verbs_parameters_outcome_and_documentation() -> None:
    assert str(inspect.signature(Domain.set_autostart)) == "(self, *, wanted: bool) -> None"
    assert str(inspect.signature(Domain.is_active)) == "(self) -> bool"
    assert str(inspect.signature(Host.domain)) == "(self, name: str) -> 'Domain'"
    assert str(inspect.signature(AsyncHost.domain)) == "(self, name: str) -> 'AsyncDomain'"
    assert Domain.shutdown.__doc__ == AsyncDomain.shutdown.__doc__ == verbs.shutdown.__doc__
    assert Domain.set_memory.__annotations__ == {"kib": int, "flags": Affect | int, "return": None}


@pytest.mark.parametrize("kind", [Host, Domain, AsyncHost, AsyncDomain])
def test_a_method_is_known_by_its_name_in_its_class(kind: type) -> None:
    names = {name: (each.__name__, each.__qualname__, each.__module__) for name, each in made(kind)}
    assert names == {name: (name, f"{kind.__name__}.{name}", kind.__module__) for name in names}
    assert len(names) > 10


@pytest.mark.parametrize("kind", [Host, Domain, AsyncHost, AsyncDomain])
def test_every_method_says_what_it_does(kind: type) -> None:
    assert [name for name, each in made(kind) if not each.__doc__] == []
