"""Taking memory that guests do not need from them while the host is short of it, as the settings may ask for.

each interval: is the host short? ─► a few guests, in turn: how did it bear the last step? ─► the next step, or a rest

A guest that needs again what was taken, or whose programs wait for memory, is left alone for longer and longer; one
that misses nothing gives more. What is guaranteed to it stays, no limit is changed, and nothing is killed.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from threading import Event
from typing import Protocol
from uuid import UUID

from insula.engine.threads import in_own_thread
from insula.kernel.cgroups.idlememory import IdleReading
from insula.kernel.meminfo import MEMINFO, read_meminfo
from insula.model.domainstates import DomainState
from insula.service.domains import Domains
from insula.service.managed import ManagedDomain, Run

LOGGER = logging.getLogger(__name__)

GUESTS_A_ROUND = 32
"""So that a round costs the same however many guests there are: others come in the next one."""
LEAST_LEFT = 32 << 20
"""Bytes of a guest, beside what is guaranteed to it, that are not worth the trouble."""
LEAST_STEP, LARGEST_STEP = 1 << 20, 64 << 20
"""Bytes."""
LONGEST_REST = 64
"""Rounds in which a guest is left alone."""
IMPOSSIBLE = (
    "idle_reclaim does nothing: memory is taken from guests by memory.reclaim, which this host has not for its groups; "
    "cgroup v1 has nothing like it, as a lower limit there would hold the guest's programs up"
)
_STEPS = 32
"""Of what a guest could give, so much of it is taken at once at most."""
_STALLED_MOST = 0.01
"""Share of the time for which some program of a guest may wait for memory."""
_MICROSECOND = 1e-6


@dataclass(frozen=True, kw_only=True, slots=True)
class IdleReclaimSettings:
    """interval: seconds between two rounds; host_free_below: percent of the host's memory; with less available it is
    short."""

    interval: int = 10
    host_free_below: int = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class HostMemory:
    """Bytes. available: for new programs, without swapping."""

    total: int
    available: int


def host_memory() -> HostMemory:
    """The host's memory as it is now: proc_meminfo(5)."""
    values = read_meminfo(MEMINFO)
    return HostMemory(total=values["MemTotal"] * 1024, available=values["MemAvailable"] * 1024)


class Takeable(Protocol):
    """Memory that can be taken: `kernel.cgroups.idlememory`."""

    def read(self) -> IdleReading: ...

    def take(self, size: int) -> int: ...


def memory_of(run: Run) -> Takeable | None:
    """Return the memory of a guest, None where this host takes none from groups."""
    return run.container.group.memory.idle


@dataclass(frozen=True, kw_only=True, slots=True)
class Bearing:
    """How a guest bore what was taken so far.

    reading, at: what was read of it last, and when; taken: bytes, then; step: how many it is asked for next, at most;
    rest: how many rounds it gets when it misses something; resting: how many of them are left.
    """

    reading: IdleReading
    at: float
    taken: int = 0
    step: int = LEAST_STEP
    rest: int = 1
    resting: int = 0


def judged(before: Bearing | None, reading: IdleReading, now: float) -> Bearing:
    """Return how a guest bears it, by what is read of it now; one of whom nothing is known yet is only read."""
    if before is None:
        return Bearing(reading=reading, at=now, resting=1)
    if before.resting > 1:
        return replace(before, resting=before.resting - 1)
    missed = reading.refaulted - before.reading.refaulted
    stalled = (reading.stalled - before.reading.stalled) * _MICROSECOND / max(now - before.at, 1e-3)
    if missed > max(before.taken // 4, LEAST_STEP) or stalled > _STALLED_MOST:
        rest = min(LONGEST_REST, 2 * before.rest)
        return Bearing(reading=reading, at=now, step=max(LEAST_STEP, before.step // 2), rest=rest, resting=rest)
    grown = min(LARGEST_STEP, 2 * before.step) if before.taken else before.step
    return Bearing(reading=reading, at=now, step=grown, rest=max(1, before.rest // 2))


def wanted(bearing: Bearing) -> int:
    """Return how many bytes to take from a guest now."""
    if bearing.resting:
        return 0
    room = bearing.reading.used - bearing.reading.kept - LEAST_LEFT
    return 0 if room < LEAST_STEP else min(bearing.step, max(LEAST_STEP, room // _STEPS), room)


def took(bearing: Bearing, asked: int, taken: int) -> Bearing:
    """Return what follows from a step: a guest that has hardly anything to give is not asked again at once."""
    if taken >= asked // 4:
        return replace(bearing, taken=taken)
    rest = min(LONGEST_REST, 2 * bearing.rest)
    return replace(bearing, taken=taken, rest=rest, resting=rest)


@dataclass(frozen=True, kw_only=True, slots=True)
class _ReclaimTurn:
    """A guest whose turn it is. bearing: what is known of it."""

    managed: ManagedDomain
    run: Run
    memory: Takeable
    bearing: Bearing | None


class IdleReclaim:
    """Takes idle memory from the guests of a daemon, from `begin` on. possible: groups here are of cgroup v2."""

    def __init__(
        self,
        *,
        registry: Domains,
        settings: IdleReclaimSettings,
        possible: bool = True,
        host: Callable[[], HostMemory] = host_memory,
        memory: Callable[[Run], Takeable | None] = memory_of,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._settings = settings
        self._host = host
        self._memory_of = memory
        self._clock = clock
        self._bearings: dict[UUID, tuple[Run, Bearing]] = {}
        self._last: UUID | None = None
        self._short = False
        self._possible = possible
        self._stop = Event()
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Every guest is known: look from now on."""
        if not self._possible:
            LOGGER.warning("%s", IMPOSSIBLE)
            return
        self._task = asyncio.get_running_loop().create_task(self._work(), name="take idle memory")

    async def close(self) -> None:
        """Take nothing any more; a step that is under way ends by itself, and is waited for by nobody."""
        self._stop.set()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _work(self) -> None:
        while True:
            await asyncio.sleep(self._settings.interval)
            try:
                await self.round()
            except Exception:  # whatever it is: the next round may do better
                LOGGER.exception("a round of taking idle memory failed")

    async def round(self) -> None:
        """Take a step from some guests, if the host is short of memory."""
        if not self._is_short():
            return  # how each has borne it so far counts when it is short again: that may be in a moment
        for turn, bearing, taken in await in_own_thread(partial(self._stepped, self._turns())):
            # Whose turn did not come, as the host was not short any more, is the next.
            self._last = turn.managed.uuid
            if turn.managed.run is turn.run:
                self._bearings[turn.managed.uuid] = turn.run, bearing
                turn.run.reclaimed += taken

    def _turns(self) -> list[_ReclaimTurn]:
        """Return whose turn it is: those that come after who had the last one, in a ring."""
        turns = []
        running = [each for each in self._registry if each.run is not None]
        self._bearings = {each.uuid: self._bearings[each.uuid] for each in running if each.uuid in self._bearings}
        first = 1 + next((place for place, each in enumerate(running) if each.uuid == self._last), -1)
        for managed in [*running[first:], *running[:first]][:GUESTS_A_ROUND]:
            self._last = managed.uuid
            run = managed.require_run()
            memory = self._memory(managed, run)
            if memory is not None:
                known, bearing = self._bearings.get(managed.uuid, (None, None))
                turns.append(
                    _ReclaimTurn(managed=managed, run=run, memory=memory, bearing=bearing if known is run else None)
                )
        return turns

    def _memory(self, managed: ManagedDomain, run: Run) -> Takeable | None:
        """Return the memory of a guest that something may be taken from; one that a job has is left to that."""
        if not run.is_ours or run.ending or managed.lock.job is not None:
            return None
        if managed.state.state is not DomainState.RUNNING:
            return None
        memory = self._memory_of(run)
        if memory is None and self._possible:
            self._possible = False
            LOGGER.warning("%s", IMPOSSIBLE)
        return memory

    def _stepped(self, turns: Sequence[_ReclaimTurn]) -> list[tuple[_ReclaimTurn, Bearing, int]]:
        """Take a step from each, as long as the host is short; called in a thread."""
        outcome = []
        for turn in turns:
            if self._stop.is_set():
                break
            try:
                bearing = judged(turn.bearing, turn.memory.read(), self._clock())
                asked, taken = wanted(bearing), 0
                if asked:
                    taken = turn.memory.take(asked)
                    bearing = took(bearing, asked, taken)
                    LOGGER.debug(
                        "domain '%s': %d of %d KiB of idle memory were taken",
                        turn.managed.name,
                        taken >> 10,
                        asked >> 10,
                    )
            except OSError as error:
                LOGGER.debug("domain '%s': no idle memory can be taken: %s", turn.managed.name, error)
                continue
            outcome.append((turn, bearing, taken))
            if taken and not self._lacks(self._host()):
                break
        return outcome

    def _lacks(self, host: HostMemory) -> bool:
        return host.available * 100 < host.total * self._settings.host_free_below

    def _is_short(self) -> bool:
        host = self._host()
        short = self._lacks(host)
        if short != self._short:
            self._short = short
            what = "short: idle memory is taken from guests" if short else "not short any more: guests are left alone"
            LOGGER.info("%d MiB of the host's memory are available, it is %s", host.available >> 20, what)
        return short
