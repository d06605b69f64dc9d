"""Some have their turn at the same time, in their order, unless somebody waits for one of them."""

import asyncio
from uuid import UUID

import pytest

from insula.service.waitingline import WaitingLine
from tests.waiting import scaled

pytestmark = pytest.mark.asyncio
UUIDS = [UUID(int=number) for number in range(6)]


async def test_turns_are_taken_in_order_and_whoever_is_hurried_is_next() -> None:
    line, began, go_on = WaitingLine(2), list[int](), asyncio.Event()

    async def take(number: int) -> None:
        async with line.turn(UUIDS[number]):
            began.append(number)
            await go_on.wait()

    tasks = [asyncio.create_task(take(number)) for number in range(6)]
    await asyncio.sleep(0)
    assert began == [0, 1]
    line.hurry(UUIDS[5])
    line.hurry(UUIDS[0])
    go_on.set()
    await asyncio.gather(*tasks)
    assert began == [0, 1, 5, 2, 3, 4]


async def test_a_turn_that_nobody_wants_any_more_is_the_next_ones() -> None:
    line, first, began = WaitingLine(1), asyncio.Event(), list[int]()

    async def take(number: int) -> None:
        async with line.turn(UUIDS[number]):
            began.append(number)
            await first.wait()

    tasks = [asyncio.create_task(take(number)) for number in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    first.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert began == [0, 2]


async def test_a_line_that_closes_keeps_whose_turn_it_is_and_whom_somebody_waits_for() -> None:
    line, began, go_on = WaitingLine(1), list[int](), asyncio.Event()

    async def take(number: int) -> None:
        async with line.turn(UUIDS[number]):
            began.append(number)
            await go_on.wait()

    tasks = [asyncio.create_task(take(number)) for number in range(4)]
    await asyncio.sleep(0)
    line.hurry(UUIDS[2])
    line.close()
    go_on.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert began == [0, 2]
    assert [isinstance(each, asyncio.CancelledError) for each in results] == [False, True, False, True]
    async with asyncio.timeout(scaled(1)), line.turn(UUIDS[5]):
        pass
