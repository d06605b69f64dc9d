"""Networks by the async client: the twin of the blocking one."""

import inspect
from pathlib import Path

import pytest

from insula.sdk.async_networks import AsyncNetwork
from insula.sdk.blocking_networks import Network
from insula.sdk.connecting import connect_async
from tests.fakeserver import FakeServer
from tests.unit.sdk.test_blocking_networks import LAN, NETWORK_ANSWERS


def verbs_of(kind: type) -> dict[str, list[str]]:
    return {
        name: list(inspect.signature(each).parameters)
        for name, each in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_")
    }


def test_both_faces_have_the_same_verbs() -> None:
    assert verbs_of(Network) == verbs_of(AsyncNetwork)
    assert verbs_of(Network).keys() >= {"start", "destroy", "leases", "update"}


@pytest.mark.asyncio
async def test_a_network_has_its_verbs(tmp_path: Path) -> None:
    with FakeServer(tmp_path / "sock", NETWORK_ANSWERS) as server:
        async with await connect_async(server.path) as host:
            (lan,) = await host.networks()
            assert (lan.ref, repr(lan)) == (LAN, "<network 'lan' 00010203-0405-0607-0809-0a0b0c0d0e0f>")
            await lan.start()
            assert await lan.is_active()
