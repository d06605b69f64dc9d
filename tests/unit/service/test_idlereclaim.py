"""How idle memory is taken: by whom it is borne, from whom it is taken, and that nothing of it stops the daemon."""

import asyncio
import logging
from dataclasses import dataclass, field, replace
from functools import partial
from uuid import UUID

import pytest

from insula.kernel.cgroups.idlememory import IdleReading
from insula.service import idlereclaim
from insula.service.idlereclaim import (
    LARGEST_STEP,
    LEAST_LEFT,
    LEAST_STEP,
    LONGEST_REST,
    Bearing,
    HostMemory,
    IdleReclaim,
    IdleReclaimSettings,
    host_memory,
    judged,
    took,
    wanted,
)
from tests.unit.service.fakes import Rig, domain_xml, until

MIB, GIB = 1 << 20, 1 << 30
READING = IdleReading(used=4 * GIB, kept=0, refaulted=0, stalled=0)
SHORT, ENOUGH = HostMemory(total=100 * GIB, available=9 * GIB), HostMemory(total=100 * GIB, available=11 * GIB)


def borne(rounds: int, *, missed: int = 0, stalled: int = 0) -> Bearing:
    """How a guest bears so many rounds, each ten seconds after the one before, if all that is asked for is taken."""
    bearing, reading = judged(None, READING, 0.0), READING
    for number in range(1, rounds + 1):
        reading = replace(reading, refaulted=reading.refaulted + missed, stalled=reading.stalled + stalled)
        bearing = judged(bearing, reading, 10.0 * number)
        if asked := wanted(bearing):
            bearing = took(bearing, asked, asked)
    return bearing


def test_a_guest_is_looked_at_before_anything_is_taken_from_it() -> None:
    assert wanted(judged(None, READING, 0.0)) == 0
    assert borne(1).taken == LEAST_STEP


def test_who_misses_nothing_gives_more_up_to_a_bound() -> None:
    assert [borne(rounds).taken // MIB for rounds in (1, 2, 3, 7, 20)] == [1, 2, 4, 64, 64]
    assert borne(20).step == LARGEST_STEP


@pytest.mark.parametrize("suffers", [{"missed": 32 * MIB}, {"stalled": 200_000}])
def test_who_needs_it_again_or_waits_for_memory_gets_longer_and_longer_rests(suffers: dict[str, int]) -> None:
    bearing = borne(2000, **suffers)
    assert (bearing.step, bearing.rest) == (LEAST_STEP, LONGEST_REST)
    asked = sum(bool(wanted(borne(rounds, **suffers))) for rounds in range(200))
    assert asked == 0


def test_who_suffered_once_is_asked_again_after_a_rest() -> None:
    bearing = judged(borne(5), replace(READING, refaulted=GIB), 60.0)
    assert bearing.resting == 2 and wanted(bearing) == 0
    for number in (7, 8):
        bearing = judged(bearing, replace(READING, refaulted=GIB), 10.0 * number)
    assert wanted(bearing) == 8 * MIB and bearing.rest == 1


def test_a_little_that_is_needed_again_is_no_harm() -> None:
    assert borne(10, missed=LEAST_STEP // 2, stalled=10_000).taken == LARGEST_STEP


@pytest.mark.parametrize(
    ("used", "kept", "step"),
    [
        (2 * GIB, 2 * GIB, 0),
        (2 * GIB + LEAST_LEFT, 2 * GIB, 0),
        (2 * GIB + LEAST_LEFT + LEAST_STEP, 2 * GIB, LEAST_STEP),
        (LEAST_LEFT, 0, 0),
        (1 * GIB, 2 * GIB, 0),
        (LEAST_LEFT + 320 * MIB, 0, 10 * MIB),
        (64 * GIB, 0, LARGEST_STEP),
    ],
)
def test_what_is_guaranteed_and_a_little_more_stays(used: int, kept: int, step: int) -> None:
    reading = replace(READING, used=used, kept=kept)
    assert wanted(Bearing(reading=reading, at=0.0, step=LARGEST_STEP)) == step


def test_who_has_hardly_anything_to_give_is_not_asked_again_at_once() -> None:
    bearing = took(Bearing(reading=READING, at=0.0), 64 * MIB, MIB)
    assert wanted(bearing) == 0 and bearing.taken == MIB


def test_the_hosts_memory_is_what_the_kernel_says() -> None:
    found = host_memory()
    assert 0 < found.available < found.total


@dataclass(slots=True)
class Memory:
    """A guest's memory: who takes from it gets what it asks for, down to what stays."""

    used: int = 2 * GIB
    kept: int = 0
    stays: int = 0
    refaulted: int = 0
    failure: Exception | None = None
    asked: list[int] = field(default_factory=list)

    def read(self) -> IdleReading:
        if self.failure is not None:
            raise self.failure
        return IdleReading(used=self.used, kept=self.kept, refaulted=self.refaulted, stalled=0)

    def take(self, size: int) -> int:
        self.asked.append(size)
        taken = min(size, max(0, self.used - self.stays))
        self.used -= taken
        return taken


class Scene:
    """Guests with memory, on a host that is short of it."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.host = SHORT
        self.memories: dict[str, Memory | None] = {}
        self.now = 0.0
        self.reclaim = IdleReclaim(
            registry=rig.domains.services.domains,
            settings=IdleReclaimSettings(interval=1),
            host=lambda: self.host,
            memory=lambda run: self.memories[run.container.record.spec.name],
            clock=lambda: self.now,
        )

    async def guest(self, name: str, memory: Memory | None) -> None:
        self.memories[name] = memory
        await self.rig.domains.start(await self.rig.domains.define(domain_xml(name, UUID(int=len(self.memories)))))

    async def rounds(self, count: int) -> None:
        for _ in range(count):
            self.now += 10.0
            await self.reclaim.round()


@pytest.fixture
def scene(rig: Rig) -> Scene:
    return Scene(rig)


@pytest.mark.asyncio
async def test_guests_give_while_the_host_is_short_and_it_is_told(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "insula.service.idlereclaim")
    memory = Memory()
    await scene.guest("web", memory)
    run = next(each.run for each in scene.rig.domains.services.domains)
    assert run is not None
    scene.host = ENOUGH
    await scene.rounds(5)
    assert memory.asked == [] and run.reclaimed == 0
    scene.host = SHORT
    await scene.rounds(4)
    assert memory.asked == [MIB, 2 * MIB, 4 * MIB] and run.reclaimed == 7 * MIB
    scene.host = ENOUGH
    await scene.rounds(3)
    assert len(memory.asked) == 3
    assert "1024 of 1024 KiB of idle memory were taken" in caplog.text
    assert "it is short: idle memory is taken" in caplog.text and "not short any more" in caplog.text


@pytest.mark.asyncio
async def test_the_rest_of_a_guest_that_suffers_outlasts_the_shortage(scene: Scene) -> None:
    memory = Memory()
    await scene.guest("web", memory)
    for _ in range(100):
        scene.host = SHORT
        await scene.rounds(2)
        memory.refaulted += GIB
        scene.host = ENOUGH
        await scene.rounds(1)
    assert len(memory.asked) == 1


@pytest.mark.asyncio
async def test_what_is_guaranteed_to_a_guest_is_never_touched(scene: Scene) -> None:
    memory = Memory(used=GIB, kept=GIB - 40 * MIB)
    await scene.guest("web", memory)
    await scene.rounds(300)
    assert memory.used == GIB - 40 * MIB + LEAST_LEFT


@pytest.mark.asyncio
async def test_a_guest_that_fails_keeps_none_of_the_others_from_giving(scene: Scene) -> None:
    gone, memory = Memory(failure=FileNotFoundError(2, "No such file")), Memory()
    await scene.guest("gone", gone)
    await scene.guest("web", memory)
    await scene.rounds(2)
    assert memory.asked == [MIB]


@pytest.mark.asyncio
async def test_paused_guests_and_those_that_a_job_has_are_left_alone(scene: Scene) -> None:
    memory = Memory()
    await scene.guest("web", memory)
    managed = next(iter(scene.rig.domains.services.domains))
    await scene.rounds(2)
    await scene.rig.domains.suspend(managed.ref)
    await scene.rounds(5)
    assert len(memory.asked) == 1


@pytest.mark.asyncio
async def test_a_round_has_a_bound_and_everybody_has_a_turn(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idlereclaim, "GUESTS_A_ROUND", 3)
    memories = [Memory() for _ in range(4)]
    for number, memory in enumerate(memories):
        await scene.guest(f"guest{number}", memory)
    await scene.rounds(1)
    await scene.rounds(1)
    assert sum(len(each.asked) for each in memories) == 2
    await scene.rounds(2)
    assert all(each.asked for each in memories)


@pytest.mark.asyncio
async def test_a_round_ends_with_the_hosts_shortage(scene: Scene) -> None:
    memories = [Memory(), Memory()]
    for number, memory in enumerate(memories):
        await scene.guest(f"guest{number}", memory)
    await scene.rounds(1)
    looks = iter([SHORT, ENOUGH])
    scene.reclaim._host = lambda: next(looks)
    await scene.rounds(1)
    assert sorted(len(each.asked) for each in memories) == [0, 1]


@pytest.mark.asyncio
async def test_who_had_no_turn_before_the_shortage_ended_is_the_next(scene: Scene) -> None:
    memories = [Memory(), Memory(), Memory()]
    for number, memory in enumerate(memories):
        await scene.guest(f"guest{number}", memory)
    await scene.rounds(1)
    for _ in memories:
        looks = iter([SHORT, ENOUGH])
        scene.reclaim._host = partial(next, looks)
        await scene.rounds(1)
    assert [len(each.asked) for each in memories] == [1, 1, 1]


@pytest.mark.asyncio
async def test_a_host_without_the_means_is_told_once(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    await scene.guest("web", None)
    await scene.rounds(3)
    assert caplog.text.count("idle_reclaim does nothing") == 1 and "cgroup v1" in caplog.text


@pytest.mark.asyncio
async def test_a_guest_that_begins_anew_is_looked_at_anew(scene: Scene) -> None:
    memory = Memory()
    await scene.guest("web", memory)
    managed = next(iter(scene.rig.domains.services.domains))
    await scene.rounds(4)
    await scene.rig.domains.destroy(managed.ref)
    await scene.rounds(1)
    await scene.rig.domains.start(managed.ref)
    await scene.rounds(1)
    assert len(memory.asked) == 3
    await scene.rounds(1)
    assert memory.asked[-1] == MIB and managed.require_run().reclaimed == MIB


@pytest.mark.asyncio
async def test_the_work_outlives_whatever_happens_and_ends_with_the_daemon(
    scene: Scene, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scene.reclaim, "_settings", replace(scene.reclaim._settings, interval=0))
    rounds = 0

    async def failing() -> None:
        nonlocal rounds
        rounds += 1
        await asyncio.sleep(0)
        raise ZeroDivisionError

    monkeypatch.setattr(scene.reclaim, "round", failing)
    scene.reclaim.begin()
    await until(lambda: rounds > 3)
    await scene.reclaim.close()
    done = rounds
    await asyncio.sleep(0.01)
    assert rounds == done and "a round of taking idle memory failed" in caplog.text


@pytest.mark.asyncio
async def test_a_host_of_v1_is_told_at_the_start_and_no_round_is_made(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    reclaim = IdleReclaim(
        registry=rig.domains.services.domains, settings=IdleReclaimSettings(interval=0), possible=False
    )
    reclaim.begin()
    assert "idle_reclaim does nothing" in caplog.text
    await reclaim.close()


@pytest.mark.asyncio
async def test_one_that_never_began_ends(scene: Scene) -> None:
    await scene.reclaim.close()


@pytest.mark.asyncio
async def test_nothing_is_taken_after_the_end(scene: Scene) -> None:
    memory = Memory()
    await scene.guest("web", memory)
    await scene.rounds(1)
    await scene.reclaim.close()
    await scene.rounds(3)
    assert memory.asked == []
