"""A process that was entered into a running container, with the manners of `subprocess.Popen`."""

import io
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import IO, TYPE_CHECKING, AnyStr, Generic, NamedTuple, Self, cast

from insula.engine.enter.attachment import EnteredProcess
from insula.errors import OperationInvalidError, OperationTimeoutError
from insula.kernel.pipes import private_pipe
from insula.relay.pump import Pump

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

PIPE = subprocess.PIPE
DEVNULL = subprocess.DEVNULL
STDOUT = subprocess.STDOUT
Stream = int | IO[bytes] | None
"""As `subprocess.Popen` takes it: a file, an fd, PIPE, DEVNULL, STDOUT (for stderr), None for our own.

A guest's process is never given a file of ours: a thread relays to and from it, as long as the process runs.
"""

_CHUNK = 65536


class _AtOnce(io.BufferedWriter):
    """Passes on all of what is written, and keeps nothing: a program that is talked to answers what it has heard."""

    def write(self, data: "ReadableBuffer") -> int:
        count = super().write(data)
        self.flush()
        return count


class TextForm(NamedTuple):
    """How texts are bytes. errors: as for `bytes.decode`."""

    encoding: str
    errors: str

    def decoded(self, data: bytes) -> str:
        """Return bytes as a text; line ends become newlines, as in a file that is opened for texts."""
        return data.decode(self.encoding, self.errors).replace("\r\n", "\n").replace("\r", "\n")

    def wrapped(self, stream: IO[bytes]) -> IO[str]:
        """Return a file without a buffer as one for texts: what is written goes at once."""
        raw = cast("io.RawIOBase", stream)
        buffered = io.BufferedReader(raw) if raw.readable() else _AtOnce(raw)
        return io.TextIOWrapper(buffered, self.encoding, self.errors, write_through=True)


class GuestProcess(Generic[AnyStr]):
    """A process inside. pid: the host's number of it; stdin, stdout, stderr: our ends of its pipes, else None.

    With a terminal, `stdin` writes to it and `stdout` reads from it.
    """

    def __init__(
        self,
        executed: EnteredProcess,
        streams: "StandardStreams",
        end_of: Callable[[str, int, float | None], int | None],
        form: TextForm | None = None,
    ) -> None:
        self._executed = executed
        self._streams = streams
        self._end_of = end_of
        self.pid = executed.pid
        self._form = form
        ends = [each if each is None or form is None else form.wrapped(each) for each in streams.ours]
        self.stdin: IO[AnyStr] | None
        self.stdout: IO[AnyStr] | None
        self.stderr: IO[AnyStr] | None
        self.stdin, self.stdout, self.stderr = (cast("IO[AnyStr] | None", each) for each in ends)
        self.returncode: int | None = None
        self._waiting = threading.Lock()
        """Held by whoever waits for the end: its status is told once."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is not None and self.returncode is None:
            self.kill()
        self.wait()
        self.close()

    def poll(self) -> int | None:
        """Return the exit status, None while it runs."""
        if self.returncode is None:
            try:
                return self.wait(0)
            except OperationTimeoutError:
                return None
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit status, negative for the signal that killed it, once what it said is where it should go.

        Raises: OperationTimeoutError; OperationFailedError if what it said could not be written there.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        if not self._waiting.acquire(timeout=-1 if timeout is None else max(0.0, timeout)):
            raise OperationTimeoutError(f"it has not ended within {timeout:g} s")
        try:
            if self.returncode is None:
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                status = self._end_of(self._executed.id, self._executed.pidfd, left)
                self.returncode = _UNKNOWN if status is None else os.waitstatus_to_exitcode(status)
                os.close(self._executed.pidfd)
            left = None if deadline is None else max(_LAST_WORDS, deadline - time.monotonic())
            self._streams.finish(left)
            return self.returncode
        finally:
            self._waiting.release()

    def send_signal(self, number: int) -> None:
        """Send a signal; one that has ended is fine, as with Popen."""
        if self.returncode is None:
            try:
                signal.pidfd_send_signal(self._executed.pidfd, number)
            except ProcessLookupError:
                return

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def communicate(self, data: AnyStr | None = None, timeout: float | None = None) -> tuple[AnyStr, AnyStr]:
        """Write data to it, read all it says on its pipes, wait for its end; return its output and errors.

        Raises: OperationTimeoutError; the process goes on then.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        stdin, stdout, stderr = self._streams.ours
        given = b"" if data is None else data if isinstance(data, bytes) else data.encode(*self._form or ())
        output = _exchange(stdin, given, [each for each in (stdout, stderr) if each], deadline)
        self.wait(None if deadline is None else max(0.0, deadline - time.monotonic()))
        said = (output.get(stdout, b"") if stdout else b"", output.get(stderr, b"") if stderr else b"")
        decoded = said if self._form is None else tuple(map(self._form.decoded, said))
        return cast("tuple[AnyStr, AnyStr]", decoded)

    def close(self) -> None:
        """Close our ends of its pipes, and relay no longer."""
        self._streams.give_up()


_LAST_WORDS = 0.1
"""Seconds that who looks only whether it has ended gives its last output to be taken."""
_UNKNOWN = 255
"""Stands for an exit status that nobody can know any more, as shells have it for what is out of range."""


def _exchange(
    sink: IO[bytes] | None, data: bytes, sources: list[IO[bytes]], deadline: float | None
) -> dict[IO[bytes] | None, bytes]:
    """Write data into sink and read sources to their end, all at the same time."""
    collected: dict[IO[bytes] | None, bytearray] = {source: bytearray() for source in sources}
    left = memoryview(data)
    with selectors.DefaultSelector() as selector:
        for source in sources:
            selector.register(source, selectors.EVENT_READ)
        if sink is not None:
            os.set_blocking(sink.fileno(), False)
            selector.register(sink, selectors.EVENT_WRITE)
        while selector.get_map():
            ready = selector.select(None if deadline is None else max(0.0, deadline - time.monotonic()))
            if not ready and deadline is not None and time.monotonic() >= deadline:
                raise OperationTimeoutError("the process has not finished in time")
            for key, _ in ready:
                stream = key.fileobj
                if stream is sink:
                    left = _written(key.fd, left)
                    if not left:
                        selector.unregister(stream)
                        sink.close()
                elif not (chunk := _read(key.fd)):
                    selector.unregister(stream)
                else:
                    collected[stream] += chunk  # type: ignore[index]  # what was registered is one of sources
    return {source: bytes(chunks) for source, chunks in collected.items()}


def _written(fd: int, data: memoryview) -> memoryview:
    """Write what fits; return what is left, nothing once the reader has gone."""
    try:
        return data[os.write(fd, data[:_CHUNK]) :] if data else data
    except BrokenPipeError:
        return data[:0]


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, _CHUNK)
    except OSError:
        return b""  # a terminal whose other end is closed: EIO


def _stream(fd: int, mode: str) -> IO[bytes]:
    """Return an fd as a file without a buffer; whoever has the process closes it."""
    return os.fdopen(fd, mode, buffering=0)


class StandardStreams:
    """Both ends of a process's three streams: `theirs` are handed over and closed, `ours` stay with us."""

    def __init__(self, stdin: Stream, stdout: Stream, stderr: Stream) -> None:
        self.ours: tuple[IO[bytes] | None, IO[bytes] | None, IO[bytes] | None] = (None, None, None)
        self._opened: list[int] = []
        self._pump: Pump | None = None
        if stdout == STDOUT or stdin == STDOUT:
            raise OperationInvalidError("only stderr can go where stdout goes")
        wishes = (stdin, stdout, stderr)
        kept: list[IO[bytes] | None] = []
        theirs: list[int] = []
        try:
            relayed = [_relayed(number, wish) for number, wish in enumerate(wishes)]
            if any(each is not None for each in relayed):
                self._pump = Pump([-1 if each is None else each for each in relayed])
            for number, wish in enumerate(wishes):
                fd, end = self._end(number, wish, theirs)
                theirs.append(fd)
                kept.append(end)
        except BaseException:
            self.give_up()
            raise
        self.theirs = (theirs[0], theirs[1], theirs[2])
        self.ours = (kept[0], kept[1], kept[2])

    def _end(self, number: int, wish: Stream, theirs: list[int]) -> tuple[int, IO[bytes] | None]:
        if wish == PIPE:
            reading, writing = private_pipe()
            fd, ours = (reading, writing) if number == 0 else (writing, reading)
            self._opened.append(fd)
            return fd, _stream(ours, "wb" if number == 0 else "rb")
        if wish == DEVNULL:
            fd = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
            self._opened.append(fd)
            return fd, None
        if wish == STDOUT:
            return theirs[1], None
        assert self._pump is not None
        return self._pump.passed[number], None

    @classmethod
    def of_terminal(cls, master: int | None) -> "StandardStreams":
        """Return streams of which stdin and stdout are the two directions of a terminal, whose master is taken over."""
        streams = cls(DEVNULL, DEVNULL, DEVNULL)
        streams.hand_over()
        if master is not None:
            streams.ours = (_stream(os.dup(master), "wb"), _stream(master, "rb"), None)
        return streams

    def hand_over(self) -> None:
        """Close what the process has by now, and begin to relay."""
        self._close_theirs()
        if self._pump is not None:
            self._pump.start()

    def finish(self, timeout: float | None) -> None:
        """The process has ended: see to it that what it said is where it should go. Raises: as `Pump.finish`."""
        if self._pump is not None:
            self._pump.finish(timeout)

    def give_up(self) -> None:
        """Close both ends: there is no process, or nothing more to be had from it."""
        self._close_theirs()
        if self._pump is not None:
            self._pump.close()
        for stream in self.ours:
            if stream is not None:
                stream.close()

    def _close_theirs(self) -> None:
        for fd in self._opened:
            os.close(fd)
        self._opened.clear()


def _relayed(number: int, wish: Stream) -> int | None:
    """Return the descriptor that is to be relayed, None for a stream that is made."""
    if wish in (PIPE, DEVNULL, STDOUT):
        return None
    return number if wish is None else wish if isinstance(wish, int) else wish.fileno()
