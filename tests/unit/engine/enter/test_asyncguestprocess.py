"""A process with its pipes on the event loop; here the process is one of the host's."""

import os
import subprocess
import sys

import pytest

from insula.engine.enter.asyncguestprocess import AsyncGuestProcess
from insula.engine.enter.attachment import EnteredProcess
from insula.engine.enter.guestprocess import PIPE, GuestProcess, StandardStreams
from insula.kernel.fds import Fd


async def started(program: str) -> AsyncGuestProcess:
    streams = StandardStreams(PIPE, PIPE, PIPE)
    reading, writing, errors = streams.theirs
    command = [sys.executable, "-c", program]
    process = subprocess.Popen(command, stdin=reading, stdout=writing, stderr=errors)  # noqa: ASYNC220 - at once
    streams.hand_over()

    def end_of(_: str, pidfd: int, timeout: float | None) -> int | None:
        code = process.wait(timeout)
        return -code if code < 0 else code << 8

    executed = EnteredProcess(id="1", uuid="u", pid=process.pid, pidfd=Fd(os.pidfd_open(process.pid)), master=None)
    return await AsyncGuestProcess.of(GuestProcess(executed, streams, end_of))


@pytest.mark.asyncio
async def test_a_conversation_goes_line_by_line() -> None:
    async with await started("for line in iter(input, 'end'): print(line.upper(), flush=True)") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for word in (b"one", b"two"):
            process.stdin.write(word + b"\n")
            assert await process.stdout.readline() == word.upper() + b"\n"
        assert process.returncode is None
        process.stdin.write(b"end\n")
        assert await process.wait() == 0
    assert process.returncode == 0


@pytest.mark.asyncio
async def test_megabytes_go_both_ways_and_errors_apart() -> None:
    data = os.urandom(1 << 20)
    program = "import sys; sys.stderr.write('oops'); sys.stdout.buffer.write(sys.stdin.buffer.read()); sys.exit(3)"
    async with await started(program) as process:
        assert await process.communicate(data) == (data, b"oops")
        assert process.returncode == 3


@pytest.mark.asyncio
async def test_who_does_not_listen_is_no_error() -> None:
    async with await started("pass") as process:
        assert await process.communicate(b"x" * (1 << 20)) == (b"", b"")


@pytest.mark.asyncio
async def test_it_is_killed_when_its_block_fails() -> None:
    with pytest.raises(RuntimeError, match="broken"):
        async with await started("input()") as process:
            raise RuntimeError("broken")
    assert process.returncode == -9
