"""Tasks that nobody waits for: waited for at the end, and heard when they fail."""

import asyncio
import logging

import pytest

from insula.service.statelock import StateChangeLock
from insula.service.tasks import BackgroundTasks, tell_failure


@pytest.mark.asyncio
async def test_what_nobody_waits_for_any_more_is_waited_for_at_the_end() -> None:
    tasks = BackgroundTasks()
    lock = StateChangeLock("web", tasks=tasks)
    begun, done = asyncio.Event(), asyncio.Event()

    async def verb() -> None:
        begun.set()
        await asyncio.sleep(0.01)
        done.set()

    caller = asyncio.create_task(lock.perform("start", verb))
    await begun.wait()
    caller.cancel()
    await tasks.ended(5)

    assert done.is_set()


@pytest.mark.asyncio
async def test_what_takes_too_long_at_the_end_is_named_and_given_up(caplog: pytest.LogCaptureFixture) -> None:
    tasks = BackgroundTasks()
    task = tasks.begin(asyncio.sleep(3600), "start web")
    with caplog.at_level(logging.ERROR):
        await tasks.ended(0.01)

    assert "not finished within 0.01 s, and left to the next insulad: start web" in caplog.text
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.asyncio
async def test_what_a_task_raises_that_nobody_waits_for_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise ValueError("no such luck")

    task = asyncio.create_task(fail(), name="autostart")
    task.add_done_callback(tell_failure)
    with caplog.at_level(logging.ERROR):
        await asyncio.wait([task])
        await asyncio.sleep(0)

    assert "autostart failed" in caplog.text and "no such luck" in caplog.text
