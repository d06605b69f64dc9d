"""What blocks has a thread of its own."""

import asyncio
import threading

import pytest

from insula.engine.threads import in_own_thread
from tests.waiting import scaled

pytestmark = pytest.mark.asyncio
MORE_THAN_ANY_POOL = 64


async def test_it_returns_what_the_function_returns_and_raises_what_it_raises() -> None:
    assert await in_own_thread(threading.current_thread) is not threading.current_thread()
    with pytest.raises(ZeroDivisionError):
        await in_own_thread(lambda: 1 // 0)


async def test_however_many_calls_hang_the_next_one_has_its_turn() -> None:
    release = threading.Event()
    hanging = [asyncio.create_task(in_own_thread(release.wait)) for _ in range(MORE_THAN_ANY_POOL)]
    try:
        assert await asyncio.wait_for(in_own_thread(lambda: "done"), scaled(10)) == "done"
        assert await asyncio.wait_for(asyncio.to_thread(lambda: "done"), scaled(10)) == "done"
    finally:
        release.set()
        await asyncio.gather(*hanging)


async def test_a_caller_that_gives_up_does_not_wait_for_the_call() -> None:
    release, ended = threading.Event(), threading.Event()

    def call() -> None:
        release.wait()
        ended.set()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(in_own_thread(call), 0.01)
    release.set()
    assert await asyncio.to_thread(ended.wait, 10)
