"""One change of a domain at a time."""

import asyncio
import logging

import pytest

from insula.errors import OperationAbortedError, OperationTimeoutError
from insula.service.jobs import Jobs, StateChangeLock, tell_failure
from tests.waiting import scaled


@pytest.mark.asyncio
async def test_two_verbs_on_one_domain_do_not_overlap() -> None:
    lock = StateChangeLock("web")
    trace: list[str] = []

    async def verb(name: str) -> str:
        trace.append(f"{name} begins")
        await asyncio.sleep(0)
        trace.append(f"{name} ends")
        return name

    first, second = await asyncio.gather(
        lock.perform("start", lambda: verb("start")), lock.perform("destroy", lambda: verb("destroy"))
    )

    assert (first, second) == ("start", "destroy")
    assert trace == ["start begins", "start ends", "destroy begins", "destroy ends"]
    assert lock.holder is None


@pytest.mark.asyncio
async def test_a_verb_that_waits_too_long_is_told_who_holds_the_domain() -> None:
    lock = StateChangeLock("web", patience=0.01)
    release = asyncio.Event()
    first = asyncio.create_task(lock.perform("shutdown", release.wait))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert lock.holder == "shutdown"

    with pytest.raises(OperationTimeoutError, match=r"cannot acquire state change lock \(held by shutdown"):
        await lock.perform("start", release.wait)

    release.set()
    assert await first is True


@pytest.mark.asyncio
async def test_a_verb_runs_to_its_end_although_its_caller_is_cancelled() -> None:
    lock = StateChangeLock("web")
    begun, go, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def verb() -> None:
        begun.set()
        await go.wait()
        done.set()

    caller = asyncio.create_task(lock.perform("start", verb))
    await begun.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    go.set()

    await asyncio.wait_for(done.wait(), scaled(5))


@pytest.mark.asyncio
async def test_what_an_orphaned_verb_raises_goes_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    lock = StateChangeLock("web")
    begun, go = asyncio.Event(), asyncio.Event()

    async def verb() -> None:
        begun.set()
        await go.wait()
        raise RuntimeError("the disk is full")

    caller = asyncio.create_task(lock.perform("start", verb))
    await begun.wait()
    caller.cancel()
    with caplog.at_level(logging.ERROR):
        go.set()
        await lock.perform("state", _nothing)
        await asyncio.sleep(0)

    assert "start web failed after its caller had gone: the disk is full" in caplog.text


async def _nothing() -> None:
    return None


@pytest.mark.asyncio
async def test_a_verb_that_ends_the_guest_does_not_wait_for_those_that_wait_for_the_guest() -> None:
    lock = StateChangeLock("web", patience=10)
    never = asyncio.Event()
    trace: list[str] = []

    async def waiting(name: str) -> None:
        try:
            await lock.unless_overtaken(never.wait())
        finally:
            trace.append(f"{name} ends")

    async def end() -> None:
        trace.append("destroyed")

    held = asyncio.create_task(lock.perform("shutdown", lambda: waiting("shutdown")))
    queued = asyncio.create_task(lock.perform("setmem", lambda: waiting("setmem")))
    while lock.holder != "shutdown":  # noqa: ASYNC110 - the lock has no event for it
        await asyncio.sleep(0)
    await asyncio.wait_for(lock.perform("destroy", end, overtaking=True), scaled(5))

    assert trace == ["shutdown ends", "setmem ends", "destroyed"]
    for verb in (held, queued):
        with pytest.raises(OperationAbortedError, match="destroy of domain 'web' came meanwhile"):
            await verb


@pytest.mark.asyncio
async def test_what_is_done_before_the_ending_verb_comes_counts() -> None:
    lock = StateChangeLock("web", patience=10)
    go = asyncio.Event()

    async def verb() -> str:
        await lock.unless_overtaken(_nothing())
        await go.wait()
        return "done"

    held = asyncio.create_task(lock.perform("suspend", verb))
    while lock.holder != "suspend":  # noqa: ASYNC110 - the lock has no event for it
        await asyncio.sleep(0)
    ending = asyncio.create_task(lock.perform("destroy", _nothing, overtaking=True))
    await asyncio.sleep(0)
    assert not ending.done()
    go.set()
    assert await held == "done"
    await asyncio.wait_for(ending, scaled(5))


@pytest.mark.asyncio
async def test_after_an_ending_verb_others_wait_as_before() -> None:
    lock = StateChangeLock("web", patience=10)
    await lock.perform("destroy", _nothing, overtaking=True)
    await lock.perform("suspend", lambda: lock.unless_overtaken(_nothing()))


@pytest.mark.asyncio
async def test_an_error_frees_the_domain_and_reaches_the_caller() -> None:
    lock = StateChangeLock("web", patience=1)

    async def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await lock.perform("start", fail)
    await lock.perform("destroy", _nothing)


@pytest.mark.asyncio
async def test_what_nobody_waits_for_any_more_is_waited_for_at_the_end() -> None:
    jobs = Jobs()
    lock = StateChangeLock("web", jobs=jobs)
    begun, done = asyncio.Event(), asyncio.Event()

    async def verb() -> None:
        begun.set()
        await asyncio.sleep(0.01)
        done.set()

    caller = asyncio.create_task(lock.perform("start", verb))
    await begun.wait()
    caller.cancel()
    await jobs.ended(5)

    assert done.is_set()


@pytest.mark.asyncio
async def test_what_takes_too_long_at_the_end_is_named_and_given_up(caplog: pytest.LogCaptureFixture) -> None:
    jobs = Jobs()
    task = jobs.begin(asyncio.sleep(3600), "start web")
    with caplog.at_level(logging.ERROR):
        await jobs.ended(0.01)

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
