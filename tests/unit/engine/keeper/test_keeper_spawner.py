"""A keeper whose guests are cloned by a spawner, and one without: deaths, and what is answered."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from insula.engine.keeper.link import completed
from insula.engine.keeper.protocol import Verb
from insula.errors import KeeperError, StepError
from tests.players import entering_program_of, image_file, program_of
from tests.unit.engine.forkedkeeper import SLEEP, ForkedKeeper, program
from tests.waiting import stop, until


@pytest.fixture(params=[False, True], ids=["spawner", "forks"])
def held(request: pytest.FixtureRequest) -> Iterator[ForkedKeeper]:
    made = ForkedKeeper(forks=request.param)
    yield made
    made.end()


@pytest.fixture
def spawning() -> Iterator[ForkedKeeper]:
    made = ForkedKeeper()
    made.start("first", SLEEP)  # so there is a spawner
    yield made
    made.end()


def spawner_of(held: ForkedKeeper) -> int | None:
    for child in Path(f"/proc/{held.pid}/task/{held.pid}/children").read_text().split():
        with contextlib.suppress(OSError):
            if Path(f"/proc/{child}/comm").read_text() == "insula-spawner\n":
                return int(child)
    return None


def test_a_keeper_has_a_spawner_only_if_it_is_to(held: ForkedKeeper, request: pytest.FixtureRequest) -> None:
    held.start("u", SLEEP)
    assert (spawner_of(held) is None) == ("forks" in request.node.name)


@pytest.mark.requires("root")
def test_guests_begin_run_are_entered_and_end(held: ForkedKeeper) -> None:
    pid = held.start("u", SLEEP)
    assert int(Path(f"/proc/{pid}/stat").read_text().split()[3]) == held.pid
    fd = image_file(entering_program_of(*program("exit 3")))
    init = os.pidfd_open(pid)
    number = held.link.ask(Verb.EXECUTE, {"uuid": "u", "id": "7"}, {"init": init, "image": fd})
    os.close(fd)
    os.close(init)
    assert held.ask(Verb.PING) == {}
    until(lambda: statuses(held) == {"7": 3 << 8}, "its end")
    held.link._waiting.pop(number, None)
    assert held.ask(Verb.KILL, uuid="u") == {"status": signal.SIGKILL}


def statuses(held: ForkedKeeper) -> dict[str, int]:
    executions = held.ask(Verb.HELLO)["executions"]
    return {each["id"]: each["status"] for each in executions if each["state"] == "EXITED"}


def test_guests_outlive_the_spawner_and_others_begin(spawning: ForkedKeeper) -> None:
    former = spawner_of(spawning)
    assert former is not None
    os.kill(former, signal.SIGKILL)
    until(lambda: spawner_of(spawning) not in (None, former), "another spawner")
    spawning.start("second", SLEEP)
    assert {each["state"] for each in spawning.ask(Verb.HELLO)["guests"]} == {"RUNNING"}


def test_what_a_spawner_had_not_cloned_fails_when_it_dies_and_can_be_launched_again(spawning: ForkedKeeper) -> None:
    former = spawner_of(spawning)
    assert former is not None
    stop(former)
    fd = image_file(program_of(*program(SLEEP)))
    number = spawning.link.ask(Verb.LAUNCH, {"uuid": "u", "namespaces": []}, {"image": fd})
    os.close(fd)
    assert [each["uuid"] for each in spawning.ask(Verb.HELLO)["guests"]] == ["first"]
    with pytest.raises(KeeperError, match="being cloned"):
        spawning.ask(Verb.FETCH, uuid="u")
    os.kill(former, signal.SIGKILL)
    with pytest.raises(StepError, match="has ended"):
        answer(spawning, number)
    until(lambda: spawner_of(spawning) not in (None, former), "another spawner")
    spawning.start("u", SLEEP)


def answer(held: ForkedKeeper, number: int) -> None:
    completed(held.link.answer(number)).close()


def test_what_is_being_cloned_can_be_given_up_and_killed(spawning: ForkedKeeper) -> None:
    former = spawner_of(spawning)
    assert former is not None
    stop(former)
    for verb in (Verb.ABORT, Verb.KILL):
        fd = image_file(program_of(*program(SLEEP)))
        number = spawning.link.ask(Verb.LAUNCH, {"uuid": "u", "namespaces": []}, {"image": fd})
        os.close(fd)
        assert spawning.ask(verb, uuid="u") == {"status": None}
        with pytest.raises(KeeperError, match="it ended while being cloned"):
            answer(spawning, number)
    os.kill(former, signal.SIGCONT)
    spawning.start("u", SLEEP)
    until(lambda: len(children(spawning)) == 3, "only the spawner and two guests being there")


def children(held: ForkedKeeper) -> list[str]:
    return Path(f"/proc/{held.pid}/task/{held.pid}/children").read_text().split()


def test_the_spawner_ends_with_its_keeper(spawning: ForkedKeeper) -> None:
    spawner = spawner_of(spawning)
    assert spawner is not None
    pidfd = os.pidfd_open(spawner)
    os.kill(spawning.pid, signal.SIGKILL)
    until(lambda: not alive(spawner), "the spawner's end")
    os.close(pidfd)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False
