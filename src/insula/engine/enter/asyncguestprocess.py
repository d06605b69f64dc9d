"""A process that was entered into a running container, with the manners of `asyncio.subprocess.Process`."""

import asyncio
import os
from asyncio.streams import FlowControlMixin
from types import TracebackType
from typing import IO, Self

from insula.engine.enter.guestprocess import GuestProcess
from insula.engine.threads import in_own_thread

_LIMIT = 1 << 16


class AsyncGuestProcess:
    """A process inside. pid: the host's number of it; stdin, stdout, stderr: streams of its pipes, else None."""

    def __init__(
        self,
        process: GuestProcess[bytes],
        stdin: asyncio.StreamWriter | None,
        stdout: asyncio.StreamReader | None,
        stderr: asyncio.StreamReader | None,
    ) -> None:
        self._process = process
        self.pid = process.pid
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr

    @classmethod
    async def of(cls, process: GuestProcess[bytes]) -> Self:
        """Return a process with its pipes on the event loop."""
        return cls(process, await _writer(process.stdin), await _reader(process.stdout), await _reader(process.stderr))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is not None and self.returncode is None:
            self.kill()
        if self.stdin is not None:
            self.stdin.close()
        try:
            await self.wait()
        finally:
            self._process.close()

    @property
    def returncode(self) -> int | None:
        """The exit status, negative for the signal that killed it, None as long as `wait` has not seen its end."""
        return self._process.returncode

    async def wait(self) -> int:
        """Return the exit status. Raises: as `GuestProcess.wait`."""
        return await in_own_thread(self._process.wait)

    def send_signal(self, number: int) -> None:
        """Send a signal; one that has ended is fine."""
        self._process.send_signal(number)

    def kill(self) -> None:
        self._process.kill()

    def terminate(self) -> None:
        self._process.terminate()

    async def communicate(self, data: bytes | None = None) -> tuple[bytes, bytes]:
        """Write data to it, read all it says on its pipes, wait for its end; return its output and errors."""
        async with asyncio.TaskGroup() as group:
            output, errors = (group.create_task(_all_of(each)) for each in (self.stdout, self.stderr))
            group.create_task(self._give(data))
        await self.wait()
        return output.result(), errors.result()

    async def _give(self, data: bytes | None) -> None:
        if self.stdin is None:
            return
        try:
            self.stdin.write(data or b"")
            await self.stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            pass  # it does not want to know
        self.stdin.close()


async def _all_of(stream: asyncio.StreamReader | None) -> bytes:
    return b"" if stream is None else await stream.read()


async def _reader(stream: IO[bytes] | None) -> asyncio.StreamReader | None:
    if stream is None:
        return None
    reader = asyncio.StreamReader(_LIMIT)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(os.dup(stream.fileno()), "rb", buffering=0)
    )
    stream.close()
    return reader


async def _writer(stream: IO[bytes] | None) -> asyncio.StreamWriter | None:
    if stream is None:
        return None
    loop = asyncio.get_running_loop()
    own = os.fdopen(os.dup(stream.fileno()), "wb", buffering=0)
    transport, protocol = await loop.connect_write_pipe(FlowControlMixin, own)
    stream.close()
    return asyncio.StreamWriter(transport, protocol, None, loop)
