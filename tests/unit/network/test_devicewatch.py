"""Following the host's devices by name, as far as lo goes; tests/system/test_vanished_bridges.py has others."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
import pytest_asyncio

from insula.network.devicewatch import DeviceWatch
from tests.waiting import patience

ONE, OTHER = UUID(int=1), UUID(int=2)


class Told:
    """What was told, to be waited for."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[tuple[UUID, str, bool]] = asyncio.Queue()
        self.watch = DeviceWatch(lambda *what: self.queue.put_nowait(what))

    async def next(self) -> tuple[UUID, str, bool]:
        return await asyncio.wait_for(self.queue.get(), patience(10))


@pytest_asyncio.fixture
async def told() -> AsyncIterator[Told]:
    made = Told()
    yield made
    made.watch.close()


@pytest.mark.asyncio
async def test_one_that_is_not_there_is_told_to_each_who_follows_it(told: Told) -> None:
    told.watch.follow(ONE, {"lo", "nosuch0"})
    assert await told.next() == (ONE, "nosuch0", False)
    told.watch.follow(OTHER, {"nosuch0"})
    assert await told.next() == (OTHER, "nosuch0", False)
    assert told.queue.empty()


@pytest.mark.asyncio
async def test_what_was_told_is_not_told_again_for_being_followed_anew(told: Told) -> None:
    told.watch.follow(ONE, {"nosuch0"})
    await told.next()
    told.watch.follow(ONE, {"nosuch0"})
    told.watch.follow(ONE, {"lo"})
    told.watch.forget(ONE)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert told.queue.empty()


@pytest.mark.asyncio
async def test_who_follows_no_more_is_told_nothing(told: Told) -> None:
    told.watch.follow(ONE, {"nosuch0"})
    told.watch.forget(ONE)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert told.queue.empty()


@pytest.mark.asyncio
async def test_nothing_is_followed_once_it_is_closed() -> None:
    told = Told()
    told.watch.follow(ONE, {"lo", "nosuch0"})
    told.watch.remind("lo")
    told.watch.close()
    told.watch.follow(OTHER, {"lo", "nosuch1"})
    told.watch.remind("lo")
    told.watch.forget(ONE)
    await asyncio.sleep(0)
    assert told.queue.empty()
