"""How processes end that the keeper holds, and who hears of it; in a fork of the test, as in `test_keeper`."""

import errno
import os
import select
import signal
import subprocess

import pytest

from insula.engine.keeper.link import completed
from insula.engine.keeper.protocol import EventKind, Verb
from insula.errors import KeeperError, StepError
from insula.kernel.process import exit_of_stranger, has_ended
from tests.unit.engine.forkedkeeper import BROKEN, SLEEP, ForkedKeeper, gone, program
from tests.waiting import until


def test_a_kill_is_answered_once_the_guest_is_reaped(held: ForkedKeeper) -> None:
    pid = held.start("u", SLEEP)
    assert held.ask(Verb.KILL, uuid="u") == {"status": signal.SIGKILL}
    assert gone(pid)
    assert held.stage_of("u") == "EXITED"


def test_two_who_kill_are_both_answered(held: ForkedKeeper) -> None:
    held.start("u", SLEEP)
    numbers = [held.link.ask(Verb.KILL, {"uuid": "u"}, {}) for _ in range(2)]
    assert [completed(held.link.answer(number)).body["status"] for number in numbers] == [9, 9]


@pytest.mark.parametrize("verb", [Verb.GO, Verb.NETLINK])
def test_what_a_guest_died_of_unasked_is_told_to_who_asks_next(held: ForkedKeeper, verb: Verb) -> None:
    pid = held.bear("u", *program(SLEEP), child_early=(BROKEN,))
    until(lambda: held.stage_of("u") is None, "the keeper having buried it")
    assert gone(pid)
    with pytest.raises(StepError, match="Invalid argument") as caught:
        held.ask(verb, uuid="u")
    assert caught.value.step == "0"
    with pytest.raises(KeeperError, match="no guest with the UUID u is held"):
        held.ask(verb, uuid="u")


def test_giving_up_a_launch_tells_what_it_had_died_of(held: ForkedKeeper) -> None:
    held.bear("u", *program(SLEEP), child_early=(BROKEN,))
    until(lambda: held.stage_of("u") is None, "the keeper having buried it")
    failure = held.ask(Verb.ABORT, uuid="u")["failure"]
    assert (failure["step"], failure["errno"]) == (0, errno.EINVAL)
    assert held.ask(Verb.ABORT, uuid="u") == {"status": None, "failure": None}


def test_every_client_that_said_hello_hears_of_an_end_and_no_other(held: ForkedKeeper) -> None:
    listening, deaf = held.another(), held.another()
    completed(listening.answer(listening.ask(Verb.HELLO, {}, {})))
    held.ask(Verb.HELLO)
    held.start("u", SLEEP)
    held.ask(Verb.KILL, uuid="u")
    held.wait_for_event(EventKind.EXITED)
    listening.dispatch()
    assert [event.uuid for event in held.events] == ["u", "u"]
    assert select.select([deaf], [], [], 0)[0] == []


def test_the_end_of_an_adopted_guest_that_was_reaped_is_told_as_far_as_the_kernel_tells(
    held: ForkedKeeper, stranger: "subprocess.Popen[bytes]"
) -> None:
    pidfd = os.pidfd_open(stranger.pid)
    stranger.terminate()
    stranger.wait()
    held.ask(Verb.HELLO)
    held.ask(Verb.ADOPT, {"pidfd": pidfd}, uuid="u", pid=stranger.pid)
    event = held.wait_for_event(EventKind.EXITED)
    assert event.status == exit_of_stranger(pidfd)
    os.close(pidfd)
    assert held.stage_of("u") == "EXITED"


def test_an_adopted_guest_that_nobody_reaps_has_ended_all_the_same(
    held: ForkedKeeper, stranger: "subprocess.Popen[bytes]"
) -> None:
    held.ask(Verb.HELLO)
    held.adopt("u", stranger.pid)
    stranger.kill()
    assert held.wait_for_event(EventKind.EXITED).status in {signal.SIGKILL, 0}  # 0 where we may not trace it


def test_an_adopted_guest_that_has_ended_can_be_forgotten_before_its_status_is_known(
    held: ForkedKeeper, stranger: "subprocess.Popen[bytes]"
) -> None:
    held.adopt("u", stranger.pid)
    pidfd = os.pidfd_open(stranger.pid)
    stranger.kill()
    until(lambda: has_ended(pidfd), "the end of the guest")
    os.close(pidfd)
    assert held.ask(Verb.FORGET, uuid="u") == {}
    assert held.stage_of("u") is None
