"""When an idle daemon goes."""

import asyncio

import pytest

from insula.daemon.idle import IdleWatch
from tests.waiting import patience

pytestmark = pytest.mark.asyncio


async def test_it_goes_after_being_idle_for_the_whole_time() -> None:
    gone = asyncio.Event()
    watch = IdleWatch(0.02, is_idle=lambda: True, stop=gone.set)
    watch.look()
    await asyncio.wait_for(gone.wait(), patience(5))


async def test_work_starts_the_time_anew() -> None:
    busy = False
    gone = asyncio.Event()
    watch = IdleWatch(0.05, is_idle=lambda: not busy, stop=gone.set)
    watch.look()
    busy = True
    watch.look()
    await asyncio.sleep(0.1)
    assert not gone.is_set()
    busy = False
    watch.look()
    await asyncio.wait_for(gone.wait(), patience(5))


async def test_work_nobody_told_of_is_noticed_at_the_end() -> None:
    idle = True
    gone = asyncio.Event()
    watch = IdleWatch(0.02, is_idle=lambda: idle, stop=gone.set)
    watch.look()
    idle = False
    await asyncio.sleep(0.06)
    assert not gone.is_set()


async def test_looking_often_does_not_put_it_off() -> None:
    gone = asyncio.Event()
    watch = IdleWatch(0.05, is_idle=lambda: True, stop=gone.set)
    async with asyncio.timeout(patience(5)):
        while not gone.is_set():
            watch.look()
            await asyncio.sleep(0.005)
