"""Guests that are looked after, and what follows if one is not well."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from insula.model.domainstates import DomainState
from insula.model.numbers import WatchdogAction
from insula.service import guesthealth
from insula.service.events import Watchdog
from insula.service.guestcondition import Health
from insula.service.managed import ManagedDomain
from insula.service.probing import Probing
from tests.unit.service.fakes import REBOOTED, Rig, domain_xml, until

pytestmark = pytest.mark.asyncio
SETTINGS = "<metadata><insula:domain xmlns:insula='https://insula.dev/xmlns/domain/1'>{}</insula:domain></metadata>"
CHECK = "<insula:healthcheck port='80' {}/>"


class Answers:
    """What probes say: `now`, None for well. tried: how often one was."""

    def __init__(self) -> None:
        self.now: str | None = None
        self.tried = 0

    async def failure(self, managed: ManagedDomain, *_: Any) -> str | None:
        self.tried += 1
        await asyncio.sleep(0)
        return self.now


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    made = Answers()

    async def failure(self: Probing, managed: ManagedDomain, *arguments: Any) -> str | None:
        return await made.failure(managed, *arguments)

    monkeypatch.setattr(Probing, "failure", failure)
    monkeypatch.setattr(guesthealth, "_SECOND", 0.001)
    return made


async def looked_after(rig: Rig, attributes: str = "interval='1'") -> ManagedDomain:
    rig.domains.services.health.begin()
    ref = await rig.domains.define(domain_xml(more=SETTINGS.format(CHECK.format(attributes))))
    await rig.domains.start(ref)
    return rig.domains.of(ref)


def health(managed: ManagedDomain) -> Health | None:
    return None if managed.run is None or managed.run.condition is None else managed.run.condition.health


def told(rig: Rig) -> list[WatchdogAction]:
    return [each.action for each in rig.told if isinstance(each, Watchdog)]


async def test_a_guest_is_healthy_once_a_try_succeeds_and_unhealthy_after_so_many_failures(
    rig: Rig, answers: Answers
) -> None:
    managed = await looked_after(rig, "interval='1' retries='3'")
    assert health(managed) is Health.STARTING
    await until(lambda: health(managed) is Health.HEALTHY)
    answers.now = "port 80: Connection refused"
    await until(lambda: health(managed) is Health.UNHEALTHY)
    condition = managed.require_run().condition
    assert condition is not None and condition.failures >= 3 and condition.says == "port 80: Connection refused"
    assert told(rig) == [WatchdogAction.NONE]
    answers.now = None
    await until(lambda: health(managed) is Health.HEALTHY)


async def test_what_fails_in_the_start_period_does_not_count(rig: Rig, answers: Answers) -> None:
    answers.now = "not yet"
    managed = await looked_after(rig, "interval='1' retries='1' start-period='3600'")
    await until(lambda: answers.tried > 5)
    assert health(managed) is Health.STARTING
    answers.now = None
    await until(lambda: health(managed) is Health.HEALTHY)
    answers.now = "now it counts"
    await until(lambda: health(managed) is Health.UNHEALTHY)


async def test_an_unhealthy_guest_is_restarted_and_then_given_more_time_each_time(rig: Rig, answers: Answers) -> None:
    answers.now = "no"
    managed = await looked_after(rig, "interval='1' retries='1' action='restart'")
    await until(lambda: rig.launches() == 2 and health(managed) is Health.UNHEALTHY)
    condition = managed.require_run().condition
    await until(lambda: condition is not None and condition.restart_at is not None)
    assert told(rig) == [WatchdogAction.RESET]
    assert managed.past.unhealthy is not None and managed.past.unhealthy.count == 1
    assert condition is not None and condition.restart_at == managed.past.unhealthy.at + guesthealth.FIRST_DELAY

    rig.domains.services.health.close()
    successor = rig.successor()
    await successor.domains.recover()
    successor.domains.services.health.begin()
    again = successor.domains.of(managed.ref)
    await until(lambda: health(again) is Health.UNHEALTHY)
    found = again.require_run().condition
    await until(lambda: found is not None and found.restart_at == condition.restart_at)
    assert rig.launches() == 2, "the next daemon knows when it was restarted"
    await successor.close()


async def test_a_guest_that_was_well_for_long_is_restarted_at_once(
    rig: Rig, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guesthealth, "FORGIVEN", 0.0)
    monkeypatch.setattr(guesthealth, "FIRST_DELAY", 0.0)
    answers.now = "no"
    managed = await looked_after(rig, "interval='1' retries='1' action='restart'")
    await until(lambda: rig.launches() >= 3)
    assert managed.past.unhealthy is not None and managed.past.unhealthy.count == 1


@pytest.mark.parametrize(
    ("action", "event"), [("destroy", WatchdogAction.POWEROFF), ("shutdown", WatchdogAction.SHUTDOWN)]
)
async def test_an_unhealthy_guest_is_ended_where_that_is_asked_for(
    rig: Rig, answers: Answers, action: str, event: WatchdogAction
) -> None:
    answers.now = "no"
    managed = await looked_after(rig, f"interval='1' retries='1' action='{action}'")
    if action == "destroy":
        await until(lambda: not managed.is_active)
    else:
        await until(lambda: managed.run is not None and managed.run.record.asked is not None)
    assert told(rig) == [event]
    assert rig.launches() == 1


async def test_a_paused_guest_is_not_tried_and_one_that_was_paused_meanwhile_has_not_failed(
    rig: Rig, answers: Answers
) -> None:
    managed = await looked_after(rig, "interval='1' retries='1'")
    await until(lambda: health(managed) is Health.HEALTHY)
    await rig.domains.suspend(managed.ref)
    answers.now = "it stands still"
    tried = answers.tried
    for _ in range(50):
        await asyncio.sleep(0.001)
    assert answers.tried <= tried + 1 and health(managed) is Health.HEALTHY
    assert managed.state.state is DomainState.PAUSED
    await rig.domains.resume(managed.ref)
    await until(lambda: health(managed) is Health.UNHEALTHY)


async def test_a_guest_that_is_off_is_looked_after_no_more(rig: Rig, answers: Answers) -> None:
    managed = await looked_after(rig)
    await until(lambda: answers.tried > 0)
    await rig.domains.destroy(managed.ref)
    tried = answers.tried
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert answers.tried == tried and health(managed) is None
    assert managed.config is not None and managed.config.settings.is_probed


async def test_nobody_is_looked_after_before_all_are_known(rig: Rig, answers: Answers) -> None:
    ref = await rig.domains.define(domain_xml(more=SETTINGS.format(CHECK.format("interval='1'"))))
    await rig.domains.start(ref)
    managed = rig.domains.of(ref)
    assert health(managed) is None
    rig.domains.services.health.begin()
    assert health(managed) is Health.STARTING


async def test_a_try_that_fails_in_an_unknown_way_ends_no_looking_after(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tried: list[ManagedDomain] = []

    async def failure(self: Probing, managed: ManagedDomain, *_: Any) -> str | None:
        tried.append(managed)
        if len(tried) == 1:
            raise RuntimeError("nobody thought of that")
        return None

    monkeypatch.setattr(Probing, "failure", failure)
    monkeypatch.setattr(guesthealth, "_SECOND", 0.001)
    managed = await looked_after(rig)
    await until(lambda: health(managed) is Health.HEALTHY)
    assert "whether it is well is not known: nobody thought of that" in caplog.text


@pytest.mark.parametrize("action", ["destroy", "restart", "shutdown"])
async def test_a_guest_that_reboots_before_its_turn_has_come_is_not_ended_for_the_one_before(
    rig: Rig, answers: Answers, action: str
) -> None:
    managed = await looked_after(rig, f"interval='1' retries='1' action='{action}'")
    held, go_on = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        held.set()
        await go_on.wait()

    holding = asyncio.create_task(managed.lock.perform("something else", hold))
    await held.wait()
    rig.end(managed.uuid, REBOOTED)  # what follows has its turn before what follows from its health
    await asyncio.sleep(0.01)
    answers.now = "no"
    await until(lambda: told(rig))
    answers.now = None
    go_on.set()
    await holding
    await until(lambda: rig.launches() >= 2)
    for _ in range(50):
        await asyncio.sleep(0.001)
    assert rig.launches() == 2 and managed.is_active and managed.require_run().record.asked is None


async def test_a_clock_that_was_set_back_keeps_no_guest_from_its_restart(rig: Rig, answers: Answers) -> None:
    answers.now = "no"
    managed = await looked_after(rig, "interval='1' retries='1' action='restart'")
    await until(lambda: rig.launches() == 2 and managed.past.unhealthy is not None)
    rig.domains.services.health.close()
    former = managed.past.unhealthy
    assert former is not None
    managed.past = replace(managed.past, unhealthy=replace(former, at=former.at + 86400))
    rig.domains.services.health.begin()
    await until(lambda: (run := managed.run) is not None and run.condition is not None and run.condition.restart_at)
    condition = managed.require_run().condition
    assert condition is not None and condition.restart_at is not None
    assert condition.restart_at < former.at + 3600 and managed.past.unhealthy is not None
