"""The overview over a session: filtered, and with addresses if asked for."""

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from insula.daemon.dispatch import overviewcalls
from insula.errors import InvalidArgumentError
from insula.model.domainstates import Happening
from insula.rpc.procedures import Insula
from insula.service.managed import ManagedDomain, Run
from tests.unit.daemon.clientend import Both, connected

pytestmark = pytest.mark.asyncio


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    def overview(managed: ManagedDomain) -> dict[str, Any]:
        return {"name": managed.name, "uuid": str(managed.uuid)}

    monkeypatch.setattr(overviewcalls, "overview", overview)
    monkeypatch.setattr(overviewcalls, "addresses_of", lambda runs: [["10.0.0.2"] for _ in runs])


async def _listed(both: Both, flags: int) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = json.loads((await both.client.call(Insula.DOMAIN_LIST, flags)).domains)
    return told


async def test_every_domain_is_told_or_those_that_a_filter_lets_through() -> None:
    async with connected() as both:
        assert [each["name"] for each in await _listed(both, 0)] == ["web", "mail"]
        assert await _listed(both, 1) == []
        assert "addresses" not in (await _listed(both, 2))[0]


async def test_addresses_are_read_of_those_that_run() -> None:
    async with connected() as both:
        web = both.domains.registry.by_name("web")
        run = SimpleNamespace(container=SimpleNamespace(id=7, pid=7), adoption=None, consoles=())
        web.begin(cast("Run", run), web.current, Happening.BOOTED)
        assert [each["addresses"] for each in await _listed(both, 1 << 16)] == [["10.0.0.2"], []]


async def test_flags_that_mean_nothing_are_refused() -> None:
    async with connected() as both:
        with pytest.raises(InvalidArgumentError, match="0x20000"):
            await _listed(both, 1 << 17)
