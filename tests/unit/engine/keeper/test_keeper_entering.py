"""What enters guests, in a keeper that is a fork of the test: programs with a record of their own, and steps alone."""

import contextlib
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from insula.engine.keeper import child, cloning
from insula.engine.keeper.protocol import EventKind, Verb
from insula.engine.steps.guest.execution import Finish
from insula.engine.steps.guest.gueststep import GuestStep
from insula.errors import KeeperError, StepError
from insula.kernel.fds import Fd, close_all
from tests.players import entering_program_of, image_file
from tests.unit.engine.forkedkeeper import BROKEN, SLEEP, ForkedKeeper, program
from tests.waiting import until


@pytest.fixture
def entered(monkeypatch: pytest.MonkeyPatch) -> Iterator[ForkedKeeper]:
    monkeypatch.setattr(cloning, "setns", lambda fd, kind: None)
    made = ForkedKeeper(forks=True)
    yield made
    made.end()


@contextlib.contextmanager
def entering(*steps: GuestStep) -> Iterator[dict[str, int]]:
    """What a process enters with: a program, and an init, whose namespaces nobody enters in these tests."""
    fds = {"init": os.pidfd_open(os.getpid()), "image": image_file(entering_program_of(*steps))}
    yield fds
    close_all(map(Fd, fds.values()))


def execute(held: ForkedKeeper, name: str, script: str) -> dict[str, Any]:
    with entering(*program(script)) as fds:
        return held.ask(Verb.EXECUTE, fds, uuid="u", id=name)


def test_an_entered_process_has_a_record_of_its_own_until_it_is_forgotten(entered: ForkedKeeper) -> None:
    entered.start("u", SLEEP)
    entered.ask(Verb.HELLO)
    pid = execute(entered, "7", "exit 5")["pid"]
    event = entered.wait_for_event(EventKind.EXECUTED)
    assert (event.uuid, event.execution, event.status) == ("u", "7", 5 << 8)
    assert entered.ask(Verb.HELLO)["executions"] == [
        {"uuid": "u", "id": "7", "pid": pid, "state": "EXITED", "status": 5 << 8, "consoles": 0}
    ]
    entered.ask(Verb.FORGET, id="7")
    assert entered.ask(Verb.HELLO)["executions"] == []


def test_what_ended_inside_is_forgotten_with_its_guest(entered: ForkedKeeper) -> None:
    entered.start("u", SLEEP)
    entered.ask(Verb.HELLO)
    execute(entered, "7", "exit 5")
    outliving = execute(entered, "8", SLEEP)["pid"]
    entered.wait_for_event(EventKind.EXECUTED)
    entered.ask(Verb.KILL, uuid="u")
    entered.ask(Verb.FORGET, uuid="u")
    assert [each["id"] for each in entered.ask(Verb.HELLO)["executions"]] == ["8"]
    os.kill(outliving, signal.SIGKILL)
    until(lambda: not entered.ask(Verb.HELLO)["executions"], "the keeper dropping what outlived its guest")
    assert [event.execution for event in entered.events if event.kind is EventKind.EXECUTED] == ["7", "8"]


def test_what_entered_a_guest_that_another_keeper_holds_is_kept_until_it_or_the_guest_is_forgotten(
    entered: ForkedKeeper,
) -> None:
    entered.ask(Verb.HELLO)
    for name in ("7", "8"):
        execute(entered, name, "exit 5")
    until(lambda: ended_inside(entered) == ["7", "8"], "both being told as ended")
    entered.ask(Verb.FORGET, id="7")
    with pytest.raises(KeeperError, match="no guest with the UUID u is held"):
        entered.ask(Verb.FORGET, uuid="u")
    assert ended_inside(entered) == []


def test_how_what_entered_ended_is_forgotten_once_it_is_told_to_who_forgets_nothing(entered: ForkedKeeper) -> None:
    entered.start("u", SLEEP)
    execute(entered, "6", "exit 5")
    until(lambda: ended_inside(entered) == ["6"], "the end of one that is to be forgotten")
    entered.ask(Verb.HELLO, forgetting=False)
    entered.events.clear()
    execute(entered, "7", "exit 5")
    until(lambda: entered.ask(Verb.PING) == {} and len(entered.events) == 1, "its end while somebody listens")
    (event,) = entered.events
    assert (event.execution, event.status, event.held) == ("7", 5 << 8, False)
    assert [each["id"] for each in entered.ask(Verb.HELLO, forgetting=False)["executions"]] == ["6"]


def ended_inside(held: ForkedKeeper) -> list[str]:
    return [each["id"] for each in held.ask(Verb.HELLO)["executions"] if each["state"] == "EXITED"]


def test_what_performs_steps_only_is_answered_when_they_are_done_and_leaves_no_record(entered: ForkedKeeper) -> None:
    entered.start("u", SLEEP)
    entered.ask(Verb.HELLO)
    with entering(Finish(why="-")) as fds:
        assert entered.ask(Verb.PERFORM, fds, uuid="u", id="7")["pid"] > 0
    until(lambda: not entered.ask(Verb.HELLO)["executions"], "its end")
    with entering(BROKEN, Finish(why="-")) as fds, pytest.raises(StepError, match="Invalid argument"):
        entered.ask(Verb.PERFORM, fds, uuid="u", id="8")
    assert entered.ask(Verb.HELLO)["executions"] == []
    assert entered.events == [], "nobody waits for how it ends"


def test_an_id_names_one_process(entered: ForkedKeeper) -> None:
    entered.start("u", SLEEP)
    execute(entered, "7", SLEEP)
    with pytest.raises(KeeperError, match="there is a process with the id 7 already"):
        execute(entered, "7", SLEEP)


def test_a_process_that_cannot_enter_leaves_no_record_and_is_told_once(entered: ForkedKeeper) -> None:
    entered.start("u", SLEEP)
    with entering(BROKEN, *program(SLEEP)) as fds, pytest.raises(StepError, match="Invalid argument"):
        entered.ask(Verb.EXECUTE, fds, uuid="u", id="7")
    assert entered.ask(Verb.HELLO)["executions"] == []


def test_what_hangs_on_its_way_in_ends_when_its_asker_gives_up_and_what_runs_does_not(
    monkeypatch: pytest.MonkeyPatch, entered: ForkedKeeper
) -> None:
    play = child.play
    monkeypatch.setattr(child, "play", lambda *all_: signal.pause() if "id" in all_[1].body else play(*all_))
    hanging = ForkedKeeper(forks=True)
    hanging.start("u", SLEEP)
    with entering(*program(SLEEP)) as fds:
        hanging.link.ask(Verb.EXECUTE, {"uuid": "u", "id": "7"}, fds)
    assert hanging.ask(Verb.ABORT, id="7") == {"status": signal.SIGKILL}
    assert hanging.ask(Verb.HELLO)["executions"] == []
    hanging.end()

    entered.start("u", SLEEP)
    execute(entered, "7", SLEEP)
    assert entered.ask(Verb.ABORT, id="7") == {"status": None, "failure": None}
    assert [each["state"] for each in entered.ask(Verb.HELLO)["executions"]] == ["RUNNING"]


def test_only_what_runs_is_entered(entered: ForkedKeeper) -> None:
    entered.bear("u", *program(SLEEP))
    with pytest.raises(KeeperError, match="the guest is not running: it is waiting to go"):
        execute(entered, "7", SLEEP)


# Adopting
