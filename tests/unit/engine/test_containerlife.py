"""One container's runs, over an engine that only pretends: what is taken for a run is given back with it."""

import os
from collections.abc import Iterator
from typing import Any, cast

import pytest

from insula.engine import containerlife
from insula.engine.containerlife import ContainerLife
from insula.engine.embedded import Engine
from insula.engine.exitstatus import ExitStatus
from insula.engine.launch.runningcontainer import ContainerRecord, Running
from insula.engine.sharedengine import SHARED_ENGINE
from insula.engine.spec import IdMap, IdRange
from insula.errors import OperationInvalidError, StepError
from insula.kernel.cgroups import Cgroup, Stats
from insula.kernel.fds import Fd
from tests.unit.engine.fakes import GROUP, SPEC

ZERO = (IdRange(inside=0, outside=1_000_000, count=65536),)
IDS = IdMap(uids=ZERO, gids=ZERO)
KILLED = ExitStatus(status=9)
ENDED = ExitStatus(status=9, oom_kills=3)
STATS = Stats(memory=None, cpu=None, tasks=None, devices=(), oom_kills=3)


class Reservation:
    """Ids of which is remembered whether they were given back."""

    def __init__(self) -> None:
        self.idmap = IDS
        self.closed = False

    def close(self) -> None:
        self.closed = True


class Figures:
    """A group whose guest had three of its processes killed for want of memory, until it is gone."""

    def __init__(self, engine: "Pretending") -> None:
        self._engine = engine

    def stats(self) -> Stats:
        if self._engine.destroyed:
            raise FileNotFoundError(2, "No such file or directory")
        return STATS


class Pretending:
    """An engine whose guests are pipes, ended by `end`."""

    def __init__(self) -> None:
        self.failure: StepError | None = None
        self.launched: list[IdMap | None] = []
        self.closed = self.destroyed = False
        self._guest = -1

    def launch(self, spec: Any, *, paused: bool) -> Running:
        if self.failure is not None:
            raise self.failure
        self.launched.append(spec.idmap)
        self.destroyed = False
        reader, self._guest = os.pipe()
        record = ContainerRecord(spec=spec, id=1, pid=1, born=1, boot="now", group=GROUP)
        return Running(record=record, group=cast("Cgroup", Figures(self)), pidfd=Fd(reader))

    def end(self) -> None:
        if self._guest >= 0:
            os.close(self._guest)
            self._guest = -1

    def await_end(self, pidfd: int, timeout: float | None) -> None:
        self.end()

    def destroy(self, running: Running) -> ExitStatus:
        self.end()
        self.destroyed = True
        running.status = KILLED
        running.close()
        return KILLED

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def reservations(monkeypatch: pytest.MonkeyPatch) -> list[Reservation]:
    made: list[Reservation] = []

    def reserve() -> Reservation:
        made.append(Reservation())
        return made[-1]

    monkeypatch.setattr(containerlife, "reserve_ids", reserve)
    return made


@pytest.fixture
def engine() -> Pretending:
    return Pretending()


@pytest.fixture
def life(engine: Pretending, reservations: list[Reservation]) -> Iterator[ContainerLife]:
    made = ContainerLife(SPEC, needs_ids=True, engine=cast("Engine", engine))
    yield made
    made.destroy()


def test_ids_are_reserved_at_the_start_and_given_back_at_the_end(
    life: ContainerLife, engine: Pretending, reservations: list[Reservation]
) -> None:
    assert reservations == []
    life.start(paused=False)
    assert life.runs
    assert engine.launched == [IDS]
    assert life.wait() == ENDED
    assert not reservations[0].closed, "it may be started again"
    assert life.destroy() == ENDED
    assert reservations[0].closed


def test_a_start_that_fails_gives_all_back(
    life: ContainerLife, engine: Pretending, reservations: list[Reservation]
) -> None:
    engine.failure = StepError("no root", step="attach the root")
    with pytest.raises(StepError, match="no root"):
        life.start(paused=False)
    assert not life.runs
    assert reservations[0].closed
    with pytest.raises(OperationInvalidError, match="does not run"):
        life.alive()


def test_it_runs_once_at_a_time_and_again_after_its_end(life: ContainerLife, engine: Pretending) -> None:
    life.start(paused=False)
    with pytest.raises(OperationInvalidError, match="runs already"):
        life.start(paused=False)
    engine.end()
    assert not life.runs
    life.start(paused=False)
    assert life.runs
    assert len(engine.launched) == 2


def test_an_engine_that_was_given_is_not_ended_with_it(life: ContainerLife, engine: Pretending) -> None:
    life.start(paused=False)
    life.destroy()
    assert not engine.closed


def test_who_is_given_no_engine_takes_the_shared_one_and_leaves_it(
    monkeypatch: pytest.MonkeyPatch, engine: Pretending, reservations: list[Reservation]
) -> None:
    monkeypatch.setattr(SHARED_ENGINE, "get", lambda: engine)
    life = ContainerLife(SPEC, needs_ids=False, engine=None)
    life.start(paused=False)
    life.destroy()
    assert len(engine.launched) == 1
    assert not engine.closed
    assert reservations == []


def test_its_figures_outlive_it_and_tell_why_it_was_killed(life: ContainerLife) -> None:
    with pytest.raises(OperationInvalidError, match="does not run"):
        life.stats()
    life.start(paused=False)
    assert life.stats() == STATS
    status = life.wait()
    assert (status, status.out_of_memory, str(status)) == (ENDED, True, "killed for want of memory")
    assert life.stats() == STATS


def test_an_image_is_used_from_the_start_to_the_end(engine: Pretending, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[str] = []

    class Use:
        def __init__(self, name: str, layout: object) -> None:
            used.append(name)

        def close(self) -> None:
            used.append("closed")

    monkeypatch.setattr(containerlife, "ImageUse", Use)
    life = ContainerLife(SPEC, needs_ids=False, engine=cast("Engine", engine), image="debian-12")
    assert used == []
    life.start(paused=False)
    life.wait()
    life.start(paused=False)
    assert used == ["debian-12"]
    life.destroy()
    assert used == ["debian-12", "closed"]


def test_what_its_program_forgets_is_ended(engine: Pretending) -> None:
    life = ContainerLife(SPEC, needs_ids=False, engine=cast("Engine", engine))
    life.start(paused=False)
    running = life.alive()
    del life
    assert running.status == KILLED
