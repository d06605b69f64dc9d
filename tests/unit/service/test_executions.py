"""Programs put into guests are numbered, and their ends remembered."""

import asyncio
import os
import signal

import pytest

from insula.engine.enter.attachment import EnteredProcess, entering_id
from insula.errors import InvalidArgumentError
from insula.kernel.fds import Fd
from insula.kernel.process import start_time
from insula.service import executions
from insula.service.executions import Executions
from tests.waiting import patience

pytestmark = pytest.mark.asyncio


def child(identity: str) -> EnteredProcess:
    """A process of ours that waits to be killed."""
    pid = os.posix_spawnp("sleep", ["sleep", "1000"], os.environ)
    return EnteredProcess(id=identity, uuid="u", pid=pid, pidfd=Fd(os.pidfd_open(pid)), master=None)


async def reaped(executed: EnteredProcess) -> int:
    """Return the wait status of a child that was killed."""
    return (await asyncio.to_thread(os.waitpid, executed.pid, 0))[1]


async def test_the_end_of_a_program_reaches_everybody_who_waits_and_who_asks_later() -> None:
    known, executed = Executions(), child("1")
    number = known.add(executed)
    waiters = [known.end(number) for _ in range(2)]
    await asyncio.sleep(0)
    known.signal(number, signal.SIGTERM)
    status = await reaped(executed)
    known.ended("1", status)

    assert [await each for each in waiters] == [signal.SIGTERM, signal.SIGTERM]
    assert await known.end(number) == signal.SIGTERM
    known.signal(number, signal.SIGTERM)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(executed.pidfd)


async def test_an_end_told_before_the_beginning_is_not_lost() -> None:
    known, executed = Executions(), child("1")
    os.kill(executed.pid, signal.SIGKILL)
    await reaped(executed)
    known.ended("1", 9)

    assert await known.end(known.add(executed)) == 9


async def test_unknown_programs_are_refused() -> None:
    known = Executions()
    with pytest.raises(InvalidArgumentError, match="no program 1 was put into a guest"):
        await known.end(1)
    with pytest.raises(InvalidArgumentError):
        known.signal(1, 15)


async def test_only_so_many_ends_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executions, "REMEMBERED", 2)
    known = Executions()
    numbers = []
    for identity in "1234":
        executed = EnteredProcess(
            id=identity, uuid="u", pid=1, pidfd=Fd(os.open("/dev/null", os.O_RDONLY)), master=None
        )
        numbers.append(known.add(executed))
        known.ended(identity, 0)

    with pytest.raises(InvalidArgumentError):
        await known.end(numbers[0])
    assert await known.end(numbers[-1]) == 0
    for number in range(10):
        known.ended(f"9{number}", 0)


async def test_probes_make_no_clients_program_be_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executions, "REMEMBERED", 2)
    known, probes = Executions(), [entering_id(number, detached=False, probing=True) for number in range(2, 9)]
    for identity in ("1", *probes):
        null = Fd(os.open("/dev/null", os.O_RDONLY))
        known.add(EnteredProcess(id=identity, uuid="u", pid=1, pidfd=null, master=None))
        known.ended(identity, 0)
    assert await known.end(1) == 0
    with pytest.raises(InvalidArgumentError):
        await known.end(int(probes[0]))


async def test_ends_that_no_keeper_tells_are_seen_but_not_how() -> None:
    known, executed = Executions(), child("1")
    number = known.add(executed)
    assert known.running() == [(executed, None)]
    await asyncio.sleep(0)
    assert known.running() == [(executed, start_time(executed.pid))]
    known.see_to_end(executed)
    os.kill(executed.pid, signal.SIGKILL)

    assert await asyncio.wait_for(known.end(number), patience(5)) is None
    await reaped(executed)


async def test_of_a_program_that_ended_at_once_nobody_looks_when_it_began() -> None:
    known, executed = Executions(), child("1")
    known.add(executed)
    os.kill(executed.pid, signal.SIGKILL)
    os.waitpid(executed.pid, 0)  # noqa: ASYNC222 - it was killed
    await asyncio.sleep(0)
    assert known.running() == [(executed, None)]
    known.ended("1", 9)


async def test_a_program_of_an_earlier_daemon_is_known_by_the_number_that_its_client_has() -> None:
    known, executed = Executions(), child("16")
    known.inherit("16", executed)
    owner = object()
    assert known.owned_by(owner) == []
    waiting = known.end(16, owner)
    assert [each for each, _ in known.owned_by(owner)] == [executed]
    known.signal(16, signal.SIGTERM)
    known.ended("16", await reaped(executed))
    assert await waiting == signal.SIGTERM and known.owned_by(owner) == []


async def test_a_detached_program_is_owned_by_nobody_under_a_later_daemon_either() -> None:
    known, executed, waiter = Executions(), child(entering_id(8, detached=True)), object()
    known.inherit(executed.id, executed)
    known.end(int(executed.id), waiter)
    assert known.owned_by(waiter) == []
    os.kill(executed.pid, signal.SIGKILL)
    known.ended(executed.id, await reaped(executed))


async def test_one_that_ended_between_two_daemons_is_told_to_who_asks() -> None:
    known = Executions()
    known.inherit("17", None)
    known.signal(17, signal.SIGTERM)
    assert known.running() == []
    known.ended("17", 3 << 8)
    assert await known.end(17) == 3 << 8


async def test_a_program_is_owned_by_who_asked_for_it_and_by_nobody_who_only_waits() -> None:
    known, executed, owner = Executions(), child("1"), object()
    number = known.add(executed, owner)
    known.end(number, object())
    assert [each for each, _ in known.owned_by(owner)] == [executed]
    os.kill(executed.pid, signal.SIGKILL)
    known.ended("1", await reaped(executed))
    assert known.owned_by(owner) == []


async def test_what_a_keeper_takes_after_all_is_not_watched_any_more_and_its_status_is_told() -> None:
    known, executed = Executions(), child("1")
    number = known.add(executed)
    known.see_to_end(executed)
    known.leave_to_keeper(executed)
    os.kill(executed.pid, signal.SIGKILL)
    status = await reaped(executed)
    await asyncio.sleep(0)
    known.ended("1", status)
    assert await known.end(number) == signal.SIGKILL


async def test_a_descriptor_that_was_watched_is_not_when_it_is_closed() -> None:
    known, executed = Executions(), child("1")
    known.add(executed)
    known.see_to_end(executed)
    os.kill(executed.pid, signal.SIGKILL)
    status = await reaped(executed)
    known.ended("1", status)
    assert not asyncio.get_running_loop().remove_reader(executed.pidfd)
