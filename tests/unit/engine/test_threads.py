"""What blocks has a thread of its own."""

import asyncio
import os
import threading
from itertools import pairwise

import pytest

from insula.engine.threads import OWN_THREADS, in_own_thread
from tests.waiting import patience, scaled, until

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
        assert await asyncio.wait_for(in_own_thread(lambda: "done"), patience(10)) == "done"
        assert await asyncio.wait_for(asyncio.to_thread(lambda: "done"), patience(10)) == "done"
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
    assert await asyncio.to_thread(ended.wait, scaled(10))


async def test_a_thread_that_has_nothing_to_do_takes_the_next_call() -> None:
    used = [await in_own_thread(threading.get_native_id) for _ in range(50)]
    assert any(one == next_one for one, next_one in pairwise(used))


async def test_a_thread_without_a_call_ends() -> None:
    thread = await in_own_thread(threading.current_thread)
    assert thread.is_alive()
    await asyncio.to_thread(until, lambda: not thread.is_alive(), "the thread's end")
    assert await in_own_thread(lambda: 7) == 7


async def test_a_child_of_this_process_has_threads_of_its_own() -> None:
    await in_own_thread(lambda: None)
    child = os.fork()
    if not child:
        answered = OWN_THREADS.submit(lambda: 7)
        os._exit(answered.result(patience(10)))
    _, status = await asyncio.to_thread(os.waitpid, child, 0)
    assert os.waitstatus_to_exitcode(status) == 7
