"""Helpers that end are begun anew while their guest runs, and the administrator is told."""

from typing import Any

import pytest

from insula.engine.interfaceperformer import ConnectedInterface, InterfaceHelper, InterfaceKind
from insula.engine.interfacespec import UserHelper
from insula.errors import OperationFailedError, OperationInvalidError
from insula.kernel.processidentity import ProcessIdentity
from insula.service.events import DomainIdentity
from insula.service.helperrevival import HelperRevival
from insula.service.managed import ManagedDomain
from tests.unit.service.fakes import Rig, domain_xml, until

pytestmark = pytest.mark.asyncio

HELPER = InterfaceHelper(
    program=UserHelper.PASTA, process=ProcessIdentity(pid=7000, started=1), launch="0123456789abcdef"
)
CARD = ConnectedInterface(
    guest="eth0",
    host="",
    host_index=0,
    bridge=None,
    mac="52:54:00:00:00:07",
    kind=InterfaceKind.USER,
    guest_index=2,
    helper=HELPER,
)


class Followed:
    """Remembers what is followed, by name."""

    def __init__(self) -> None:
        self.pids: dict[str, int] = {}
        self.asked = 0

    def follow(self, name: str, identity: ProcessIdentity | None) -> None:
        assert identity is not None
        self.asked += 1
        self.pids[name] = identity.pid

    def forget(self, name: str) -> None:
        del self.pids[name]


async def begun(rig: Rig) -> tuple[DomainIdentity, ManagedDomain, HelperRevival, Followed]:
    """Return a running guest with a card that a helper serves, which is followed."""
    rig.engine.connected = (CARD,)
    web = await rig.domains.define(domain_xml())
    revival, followed = rig.domains.wiring.helper_revival, Followed()
    revival.attend(followed)
    await rig.domains.start(web)
    return web, rig.domains.of(web), revival, followed


async def test_a_helper_is_followed_while_its_guest_runs(rig: Rig) -> None:
    web, managed, _, followed = await begun(rig)
    assert followed.pids == {f"{managed.uuid} eth0": 7000}
    await rig.domains.destroy(web)
    assert followed.pids == {}


async def test_one_that_ends_is_begun_anew_written_down_and_told(rig: Rig) -> None:
    _, managed, revival, followed = await begun(rig)
    revival.ended(f"{managed.uuid} eth0")
    await until(lambda: followed.pids == {f"{managed.uuid} eth0": 7001})
    assert managed.notices == ("the pasta of its interface 'eth0' ended, and was begun anew",)
    (connected,) = managed.require_run().container.record.connected
    assert connected.helper is not None
    assert connected.helper.process.pid == 7001
    assert "7001" in str(managed.require_run().record.container)


@pytest.mark.parametrize(
    ("error", "again"), [(OperationFailedError("no room"), True), (OperationInvalidError("removed"), False)]
)
async def test_one_that_cannot_be_begun_is_told_and_tried_again_unless_the_guest_has_removed_its_card(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, error: Exception, again: bool
) -> None:
    _, managed, revival, followed = await begun(rig)

    async def refuse(*_: Any) -> None:
        raise error

    monkeypatch.setattr(rig.engine.interfaces, "revive", refuse)
    asked = followed.asked
    revival.ended(f"{managed.uuid} eth0")
    await until(lambda: managed.notices)
    assert managed.notices == (f"the pasta of its interface 'eth0' ended, and is not begun anew: {error}",)
    assert followed.asked == asked + again


async def test_the_end_of_one_whose_guest_has_ended_is_nothing(rig: Rig) -> None:
    web, managed, revival, followed = await begun(rig)
    await rig.domains.destroy(web)
    revival.ended(f"{managed.uuid} eth0")
    await managed.lock.perform("look", _nothing)
    assert followed.pids == {}
    assert managed.notices == ()


async def _nothing() -> None:
    pass
