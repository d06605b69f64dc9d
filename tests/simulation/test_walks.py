"""Thousands of schedules of a host, its daemons and their deaths: what must never be, never is.

The same seeds each time, so that nothing fails by chance; others from INSULA_TEST_SEED on. INSULA_TEST_FULL
(scripts/test --full) walks a million. What fails says how it is walked again.
"""

import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from insula.engine.console.console import ConsoleHub
from insula.engine.console.consolechannel import ConsoleChannel
from insula.engine.console.consolering import ConsoleRing
from insula.engine.exitstatus import ExitStatus
from insula.engine.launch.runningcontainer import Running
from insula.engine.launch.teardown import Teardown
from insula.service.cardbridges import CardBridges
from insula.service.definitions import Definitions
from insula.service.events import Events
from insula.service.executions import Executions
from insula.service.guest import GuestVerbs
from insula.service.lifecycle import LifecycleVerbs
from insula.service.livedevices import LiveDevices
from insula.service.livelimits import LiveLimits
from insula.service.managednetwork import ManagedNetwork
from insula.service.networklife import NetworkLife
from insula.service.networkruns import NetworkRuns
from insula.service.networkverbs import NetworkVerbs
from insula.service.runstorage import RunStorage
from insula.testing.fakerunning import FakeRunning
from insula.testing.fakesuccession import FakeSuccession
from tests import hosts
from tests.invariants import ENDING
from tests.simulation.seeds import walked
from tests.waiting import scaled

FIRST = int(os.environ.get("INSULA_TEST_SEED", "1"))
CHUNKS = 20
WALKS = 1_000_000 if hosts.full() else 10_000


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Broken disks are told to logs that nobody reads."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def again(seed: int) -> str:
    return f"walk it again: {Path(sys.executable).name} -m tests.simulation {seed}"


@pytest.mark.timeout(scaled(600) * WALKS / 10_000)
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_whatever_comes_together_every_promise_holds(chunk: int) -> None:
    size = WALKS // CHUNKS
    for seed in range(FIRST + chunk * size, FIRST + (chunk + 1) * size):
        try:
            walked(seed)
        except Exception as error:
            error.add_note(again(seed))
            raise


def test_a_seed_is_the_same_walk_every_time_and_everywhere() -> None:
    here: list[str] = []
    walked(FIRST + 7, say=here.append)
    command = [sys.executable, "-c", f"from tests.simulation.seeds import walked; walked({FIRST + 7}, say=print)"]
    environment = {**os.environ, "PYTHONHASHSEED": "4711"}
    there = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert [line for line in there.stdout.splitlines() if "event:" in line] == [
        line for line in here if "event:" in line
    ]


# That walks would find what is wrong: each of these was, or could be, a line of the product.


def _forgets_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    publish, count = Events.publish, iter(range(1, 1_000_000))
    monkeypatch.setattr(Events, "publish", lambda self, event: publish(self, event) if next(count) % 7 else None)


def _drops_links_of_unread_definitions(monkeypatch: pytest.MonkeyPatch) -> None:
    drop = Definitions._drop_dangling_links

    def dropped(self: Definitions[Any], links: list[Path]) -> None:
        linked = (self._link(path.stem) for path in self._unread)
        drop(self, [*links, *(each for each in linked if each.is_symlink())])

    monkeypatch.setattr(Definitions, "_drop_dangling_links", dropped)


def _calls_the_living_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    async def recovered(*_: Any) -> None:
        return None

    monkeypatch.setattr(FakeSuccession, "recover", recovered)


def _answers_before_it_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Definitions, "save", lambda self, domain: Definitions.set_autostart(self, domain.name, on=False)
    )


def _keeps_no_first_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("insula.service.rundirectory.RunDirectory.begin", lambda self, record, domain: None)


def _ignores_the_ends_of_guests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LifecycleVerbs, "guest_ended", lambda self, uuid, status: None)


def _leaves_ids_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    async def released(*_: Any) -> None:
        return None

    monkeypatch.setattr(RunStorage, "release", released)


def _leaves_limits_that_nobody_was_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    async def settled(*_: Any) -> None:
        return None

    monkeypatch.setattr(LiveLimits, "settle", settled)


def _leaves_devices_that_nobody_was_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    async def settled(*_: Any) -> None:
        return None

    monkeypatch.setattr(LiveDevices, "settle", settled)


def _ignores_the_ends_of_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Executions, "ended", lambda self, identity, status: None)


def _leaves_programs_to_dead_keepers(monkeypatch: pytest.MonkeyPatch) -> None:
    async def replaced(*_: Any) -> None:
        return None

    monkeypatch.setattr(GuestVerbs, "keeper_replaced", replaced)


def _watches_what_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Executions, "leave_to_keeper", lambda self, executed: None)


def _has_keepers_remember_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    async def forgotten(*_: Any) -> None:
        return None

    monkeypatch.setattr(Teardown, "forget_execution", forgotten)


def _lets_destroy_wait_for_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    destroy = Teardown.destroy

    async def destroyed(self: Teardown, running: Running) -> ExitStatus:
        assert isinstance(running, FakeRunning)
        if running.host.inside(running.uuid):
            await asyncio.sleep(ENDING + 1)
        return await destroy(self, running)

    monkeypatch.setattr(Teardown, "destroy", destroyed)


def _keeps_nothing_of_what_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ConsoleRing, "append", lambda self, data: self._bytes.extend(data))


def _shows_what_is_printed_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    feed = ConsoleChannel.feed
    monkeypatch.setattr(ConsoleChannel, "feed", lambda self, data: feed(self, data + data))


def _leaves_terminals_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(self: ConsoleHub) -> None:
        self._open = False

    monkeypatch.setattr(ConsoleHub, "_close", closed)


def _mends_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    async def mended(*_: Any) -> None:
        return None

    monkeypatch.setattr(NetworkVerbs, "mend", mended)


def _leaves_half_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    async def cleared(self: NetworkLife, managed: ManagedNetwork) -> None:
        managed.remains = None

    monkeypatch.setattr(NetworkLife, "_clear", cleared)


def _writes_no_network_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NetworkRuns, "write", lambda self, run: None)


def _looks_at_no_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CardBridges, "told", lambda self, uuid, bridge, there: None)


def _names_no_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CardBridges, "_notice", lambda self, managed, said: None)


def _forgets_cards_when_it_mends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("insula.daemon.wiring.host_ends", lambda domains, network: {})


@pytest.mark.parametrize(
    "plant",
    [
        _mends_no_network,
        _leaves_half_a_network,
        _writes_no_network_down,
        _looks_at_no_card,
        _names_no_card,
        _forgets_cards_when_it_mends,
        _forgets_to_tell,
        _drops_links_of_unread_definitions,
        _calls_the_living_dead,
        _answers_before_it_writes,
        _keeps_no_first_record,
        _ignores_the_ends_of_guests,
        _leaves_ids_behind,
        _leaves_limits_that_nobody_was_told_of,
        _leaves_devices_that_nobody_was_told_of,
        _ignores_the_ends_of_programs,
        _leaves_programs_to_dead_keepers,
        _watches_what_is_closed,
        _has_keepers_remember_programs,
        _lets_destroy_wait_for_programs,
        _keeps_nothing_of_what_is_printed,
        _shows_what_is_printed_twice,
        _leaves_terminals_open,
    ],
)
def test_walks_find_what_is_wrong(plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    def walk_on() -> None:
        for seed in range(1, 3000):
            walked(seed)

    plant(monkeypatch)
    with pytest.raises(AssertionError):
        walk_on()
