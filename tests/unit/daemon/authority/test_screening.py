"""Events on their way to a client that may not see everything."""

import asyncio
from uuid import UUID

import pytest

from insula.daemon.authority import screening
from insula.daemon.authority.accessobjects import AccessObject
from insula.daemon.authority.bydrivers import Jury, NamedDriver
from insula.daemon.authority.screening import EventScreen
from insula.daemon.complaints import Complaints
from insula.daemon.peers import Peer
from insula.model.networknumbers import NetworkEventKind
from insula.rpc.permissions import Permission
from insula.service.events import DomainIdentity, Event, NetworkIdentity, NetworkLifecycle, Reboot
from tests.waiting import patience

pytestmark = pytest.mark.asyncio

OURS, THEIRS = (Reboot(domain=DomainIdentity(name=name, uuid=UUID(int=1))) for name in ("ours", "theirs"))
LAN = NetworkLifecycle(network=NetworkIdentity(name="ours", uuid=UUID(int=2)), kind=NetworkEventKind.STARTED)


class Gated:
    """Permits to see what is ours, once it is let."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()

    async def permits(self, client: Peer, permission: Permission, about: AccessObject) -> bool:
        await self.gate.wait()
        return permission.name == "getattr" and about.name == "ours"


def screened(driver: Gated, told: list[str]) -> EventScreen:
    somebody = Peer(pid=1, uid=1000, gid=1000, born=1)
    return EventScreen(Jury([("gated", driver)], somebody, Complaints()), told.append)


async def test_events_come_in_order_and_those_of_others_not_at_all() -> None:
    driver, told = Gated(), list[str]()
    screen = screened(driver, told)
    events: tuple[tuple[Event, str], ...] = ((OURS, "first"), (THEIRS, "hidden"), (LAN, "second"), (OURS, "third"))
    for event, word in events:
        screen.pass_on(event, lambda word=word: told.append(word))  # type: ignore[misc]
    await asyncio.sleep(0)
    assert told == [], "nobody has said yet that they may be told"
    driver.gate.set()
    async with asyncio.timeout(patience(20)):
        while "third" not in told:  # noqa: ASYNC110 - the screen's own task is the event
            await asyncio.sleep(0.001)
    assert told == ["first", "second", "third"]
    screen.close()


async def test_without_drivers_all_is_told_at_once_and_with_one_from_then_on_what_it_permits() -> None:
    driver, told, drivers = Gated(), list[str](), list[NamedDriver]()
    driver.gate.set()
    screen = EventScreen(Jury(drivers, Peer(pid=1, uid=1000, gid=1000, born=1), Complaints()), told.append)
    screen.pass_on(THEIRS, lambda: told.append("before"))
    assert told == ["before"]
    drivers.append(("gated", driver))
    screen.pass_on(THEIRS, lambda: told.append("hidden"))
    screen.pass_on(OURS, lambda: told.append("after"))
    assert told == ["before"], "it waits behind the one that is asked about"
    async with asyncio.timeout(patience(20)):
        while "after" not in told:  # noqa: ASYNC110 - the screen's own task is the event
            await asyncio.sleep(0.001)
    assert "hidden" not in told
    screen.close()


async def test_a_client_for_whom_too_many_wait_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screening, "WAITING_MAX", 3)
    told: list[str] = []
    screen = screened(Gated(), told)
    for _ in range(5):
        screen.pass_on(OURS, lambda: told.append("told"))
    assert told == ["3 events wait for its access driver's verdict"]
