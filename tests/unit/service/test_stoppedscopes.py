"""Guests whose scopes systemd is to stop are shut down, or killed."""

import asyncio
from collections.abc import Callable

import pytest

from insula.engine.launch.placement import unit_around
from insula.engine.launch.systemdscope import Manager
from insula.engine.spec import InitKind
from insula.model.domainstates import ShutoffReason
from insula.service import shutdown, stoppedscopes
from insula.service.events import DomainIdentity
from insula.service.runrecord import StopReason
from insula.service.stoppedscopes import REMEMBERED, StoppedScopes
from tests.unit.service.fakes import Rig, domain_xml, until

pytestmark = pytest.mark.asyncio


class Watching:
    """Tells what a test has it tell."""

    def __init__(self, told: Callable[[str], None]) -> None:
        self.told = told
        self.closed = False

    def close(self) -> None:
        self.closed = True


def stopped_scopes(rig: Rig, made: list[Watching]) -> StoppedScopes:
    def watch(told: Callable[[str], None]) -> Watching:
        made.append(Watching(told))
        return made[-1]

    services = rig.domains.wiring.services
    return StoppedScopes(
        registry=services.domains,
        lifecycle=services.lifecycle,
        shutdown=services.shutdown,
        events=rig.events,
        watch=watch,
    )


async def running(rig: Rig) -> tuple[DomainIdentity, str]:
    """Return a domain that runs, and its scope."""
    ref = await rig.domains.start(await rig.domains.define(domain_xml()))
    return ref, unit_around(rig.domains.of(ref).require_run().container.record.group)


async def test_a_guest_is_asked_to_shut_down_by_the_thread_that_hears_of_it(rig: Rig) -> None:
    ref, unit = await running(rig)
    made: list[Watching] = []
    others: list[str] = []
    scopes = stopped_scopes(rig, made)
    scopes.begin(Manager.SYSTEMD, others.append)
    await asyncio.to_thread(made[0].told, unit)
    await asyncio.to_thread(made[0].told, "machine-another.scope")
    await until(lambda: rig.looker.looks)
    await until(lambda: rig.domains.of(ref).require_run().record.asked is StopReason.SHUTDOWN)
    assert others == ["machine-another.scope"]
    scopes.close()
    assert made[0].closed


async def test_a_scope_that_is_stopped_before_its_guest_is_known_ends_that_guest_and_no_later_one(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit = "machine-insula\\x2d00000001.scope"
    monkeypatch.setattr(stoppedscopes, "unit_around", lambda _: unit)
    made, others = list[Watching](), list[str]()
    scopes = stopped_scopes(rig, made)
    scopes.begin(Manager.SYSTEMD, others.append)
    made[0].told(unit)
    await until(lambda: others == [unit])
    ref, _ = await running(rig)
    await until(lambda: rig.domains.of(ref).require_run().record.asked is StopReason.SHUTDOWN)
    await rig.domains.destroy(ref)
    await rig.domains.start(ref)
    assert rig.domains.of(ref).require_run().record.asked is None
    for number in range(REMEMBERED + 1):
        made[0].told(f"machine-insula\\x2d{number}.scope")
    await until(lambda: len(others) == REMEMBERED + 2)
    assert len(scopes._unknown) == REMEMBERED
    scopes.close()


async def test_one_that_is_paused_goes_on_first(rig: Rig) -> None:
    ref, unit = await running(rig)
    await rig.domains.suspend(ref)
    assert stopped_scopes(rig, []).told(unit)
    await until(lambda: rig.domains.of(ref).require_run().record.asked is StopReason.SHUTDOWN)
    assert not rig.domains.of(ref).require_run().container.group.frozen


async def test_one_that_is_paused_and_told_of_twice_is_asked_and_not_killed(rig: Rig) -> None:
    ref, unit = await running(rig)
    await rig.domains.suspend(ref)
    scopes = stopped_scopes(rig, [])
    assert scopes.told(unit) and scopes.told(unit)
    await until(lambda: len(rig.looker.looks) == 2)
    await until(lambda: rig.domains.of(ref).lock.holder is None)
    assert rig.domains.is_active(ref)
    assert rig.domains.of(ref).require_run().record.asked is StopReason.SHUTDOWN


async def test_what_has_rebooted_meanwhile_has_another_scope_and_goes_on(rig: Rig) -> None:
    ref, unit = await running(rig)
    managed, held = rig.domains.of(ref), asyncio.Event()
    holding = asyncio.create_task(managed.lock.perform("a long verb", held.wait))
    await until(lambda: managed.lock.holder == "a long verb")
    reset = asyncio.create_task(rig.domains.reset(ref))
    await asyncio.sleep(0)
    assert stopped_scopes(rig, []).told(unit)
    await asyncio.sleep(0)
    held.set()
    await asyncio.gather(holding, reset)
    await until(lambda: managed.lock.holder is None and not managed.lock._waiting)
    assert managed.require_run().record.asked is None and rig.looker.looks == []


async def test_one_that_does_not_listen_is_killed(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutdown, "LISTENING_PLAIN", 0.0)
    rig.looker.sights = [{"kind": InitKind.PLAIN.value, "answer": "unheard"}]
    ref, unit = await running(rig)
    assert stopped_scopes(rig, []).told(unit)
    await until(lambda: not rig.domains.is_active(ref))
    assert rig.domains.state(ref).reason is ShutoffReason.DESTROYED


async def test_where_systemd_does_not_run_the_host_nobody_watches(rig: Rig) -> None:
    made: list[Watching] = []
    scopes = stopped_scopes(rig, made)
    scopes.begin(Manager.NONE, lambda _: None)
    scopes.close()
    assert made == []
