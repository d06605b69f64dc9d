"""Work on disks that may never answer is done by a few threads that nobody waits for."""

import asyncio
import subprocess
import sys
import threading
import time
from functools import partial

import pytest

from insula.engine import writers
from insula.engine.writers import Writers
from tests.waiting import patience

pytestmark = pytest.mark.asyncio


async def test_work_is_done_and_what_it_raises_is_raised() -> None:
    few = Writers("test", 2)
    assert await few.perform(lambda: 6 * 7) == 42
    with pytest.raises(OSError, match="no space"):
        await few.perform(_fail)


def _fail() -> None:
    raise OSError(28, "no space")


async def test_no_more_threads_than_the_limit_work_at_once_and_all_work_is_done() -> None:
    few = Writers("test", 2)
    at_once, most = 0, 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        threading.Event().wait(0.005)
        with lock:
            at_once -= 1

    async with asyncio.timeout(patience(20)):
        await asyncio.gather(*(few.perform(work) for _ in range(20)))
    assert 1 <= most <= 2


async def test_work_that_never_ends_holds_its_thread_only() -> None:
    few = Writers("test", 2)
    never = threading.Event()
    stuck = asyncio.create_task(few.perform(never.wait))
    async with asyncio.timeout(patience(20)):
        for number in range(10):
            assert await few.perform(lambda number=number: number) == number  # type: ignore[misc]
    never.set()
    await stuck


async def test_nobody_waits_for_a_thread_that_has_just_taken_work_that_never_ends(
    request: pytest.FixtureRequest,
) -> None:
    """Many rounds, each a little later than the one before, with threads that take turns as often as they can."""
    request.addfinalizer(partial(sys.setswitchinterval, sys.getswitchinterval()))
    sys.setswitchinterval(1e-6)
    never = threading.Event()
    stuck = []
    try:
        for number in range(1000):
            few = Writers("test", 2)
            await few.perform(lambda: 0)  # its thread is idle now, or about to be
            stuck.append(asyncio.create_task(few.perform(never.wait)))
            await asyncio.sleep(0)
            later = time.perf_counter_ns() + number * 200
            while time.perf_counter_ns() < later:
                pass
            async with asyncio.timeout(patience(20)):
                assert await few.perform(lambda: 1) == 1
            never.set()
            await stuck.pop()
            never.clear()
    finally:
        never.set()
    await asyncio.gather(*stuck)


async def test_a_thread_without_work_ends_and_another_begins_when_there_is_some(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(writers, "_IDLE", 0.01)
    few = Writers("idle test", 2)
    for _ in range(3):
        assert await few.perform(lambda: 1) == 1
        async with asyncio.timeout(patience(5)):
            while any(each.name == "idle test" for each in threading.enumerate()):  # noqa: ASYNC110 (no event)
                await asyncio.sleep(0.01)


async def test_the_process_ends_though_a_disk_does_not_answer() -> None:
    text = (
        "import asyncio, threading; from insula.engine.writers import Writers\n"
        "async def main():\n"
        "    task = asyncio.create_task(Writers('test', 1).perform(threading.Event().wait))\n"
        "    await asyncio.sleep(0.1)\n"
        "    task.cancel()\n"
        "asyncio.run(main())"
    )
    ended = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", text], timeout=patience(20), check=False)
    assert ended.returncode == 0
