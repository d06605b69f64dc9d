"""Rounds: each user's clients get a slice, however many there are; root's are users of their own."""

import asyncio
import time

import pytest

from insula.daemon import rounds as rounds_module
from insula.daemon.rounds import Rounds, Turn

pytestmark = pytest.mark.asyncio

NOBODY, SOMEBODY = 65534, 65533


def _busy(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


async def test_many_clients_of_one_user_do_not_keep_the_others_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds_module, "SLICE", 0.001)
    rounds, done = Rounds(), list[str]()

    def work(name: str) -> None:
        _busy(0.002)
        done.append(name)

    for number in range(20):
        Turn(rounds, client=number, account=NOBODY).take(lambda: work("crowd"))
    Turn(rounds, client=20, account=SOMEBODY).take(lambda: work("other"))
    for number in (21, 22):
        Turn(rounds, client=number, account=0).take(lambda: work("root"))
    for _ in range(100):
        await asyncio.sleep(0)
    assert done[:4] == ["crowd", "other", "root", "root"] and done[4:] == ["crowd"] * 19


async def test_what_is_asked_for_twice_is_done_once_and_then_again() -> None:
    rounds, done = Rounds(), list[int]()
    turn = Turn(rounds, client=1, account=NOBODY)

    def work() -> None:
        done.append(1)

    turn.take(work)
    turn.take(work)
    await asyncio.sleep(0)
    assert len(done) == 1
    turn.take(work)
    await asyncio.sleep(0)
    assert len(done) == 2


async def test_what_comes_from_a_user_of_its_own_is_read_at_once_and_from_others_when_it_is_their_turn() -> None:
    rounds, done = Rounds(), list[str]()
    Turn(rounds, client=1, account=0).arrived(lambda: done.append("root"))
    Turn(rounds, client=2, account=NOBODY).arrived(lambda: done.append("other"))
    assert done == ["root"]
    await asyncio.sleep(0)
    assert done == ["root", "other"]


async def test_nothing_is_done_for_a_client_that_is_gone() -> None:
    rounds, done = Rounds(), list[int]()
    gone, there = (Turn(rounds, client=number, account=NOBODY) for number in range(2))
    gone.take(lambda: done.append(0))
    there.take(lambda: done.append(1))
    gone.close()
    await asyncio.sleep(0)
    assert done == [1]


async def test_an_error_costs_nobody_else_their_turn() -> None:
    rounds, done, errors = Rounds(), list[int](), list[object]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context["exception"]))

    def fail() -> None:
        raise ValueError

    Turn(rounds, client=1, account=NOBODY).take(fail)
    Turn(rounds, client=2, account=NOBODY).take(lambda: done.append(2))
    Turn(rounds, client=3, account=SOMEBODY).take(lambda: done.append(3))
    for _ in range(100):
        await asyncio.sleep(0)
    assert [type(each) for each in errors] == [ValueError]


async def test_large_answers_are_made_one_at_a_time_for_each_user() -> None:
    rounds = Rounds()
    first, second, other = (Turn(rounds, client=number, account=uid) for number, uid in enumerate((NOBODY, NOBODY, 0)))
    assert first.bulk is second.bulk
    assert other.bulk is not first.bulk
