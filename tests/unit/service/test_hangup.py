"""Who goes takes along what it started: its session, told first and killed then."""

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from insula.kernel.process import session_of
from insula.service import hangup
from insula.service.hangup import hang_up
from tests.leaks import is_gone
from tests.waiting import patience, until

pytestmark = pytest.mark.asyncio

STUBBORN = "import signal, time; signal.signal(signal.SIGHUP, signal.SIG_IGN); print(flush=True); time.sleep(1000)"


def program(*words: str) -> tuple["subprocess.Popen[bytes]", bytes]:
    """A program that leads a session, as those put into guests do, and its first line."""
    process = subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    with process.stdout as lines:
        return process, lines.readline()


def ending(process: "subprocess.Popen[bytes]") -> "asyncio.Future[int | None]":
    """What becomes its status when it has ended."""
    loop = asyncio.get_running_loop()
    end: asyncio.Future[int | None] = loop.create_future()
    waiting = loop.run_in_executor(None, process.wait)
    waiting.add_done_callback(lambda done: end.set_result(done.result()))
    return end


async def test_a_program_is_told_with_all_of_its_session() -> None:
    process, line = program("sh", "-c", "sleep 1000 & echo $!; exec sleep 1000")
    child = int(line)
    assert session_of(child) == process.pid
    end = ending(process)
    await hang_up(process.pid, end, lambda: [os.getpid(), child, process.pid])
    assert await end == -signal.SIGHUP
    until(lambda: is_gone(child), "what it left being gone")


async def test_one_that_ignores_it_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hangup, "PATIENCE", 0.1)
    process, _ = program(sys.executable, "-c", STUBBORN)
    end = ending(process)
    await hang_up(process.pid, end, lambda: [process.pid])
    assert await asyncio.wait_for(end, patience(10)) == -signal.SIGKILL


async def test_one_that_has_ended_is_nobodys_business() -> None:
    end: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
    end.set_result(0)
    await hang_up(os.getpid(), end, lambda: pytest.fail("nobody is to be looked for"))


async def test_of_a_guest_that_cannot_be_listed_the_program_alone_is_told() -> None:
    def unknown() -> list[int]:
        raise OSError(19, "No such device")

    process, _ = program("sh", "-c", "echo; exec sleep 1000")
    end = ending(process)
    await hang_up(process.pid, end, unknown)
    assert await end == -signal.SIGHUP
