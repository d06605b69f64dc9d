import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from insula.engine.enter.attachment import EnteredProcess
from insula.engine.enter.guestprocess import DEVNULL, PIPE, STDOUT, GuestProcess, StandardStreams, Stream, TextForm
from insula.errors import OperationInvalidError, OperationTimeoutError
from insula.kernel.fds import Fd
from tests.descriptors import open_fds
from tests.waiting import patience, until


class Host:
    """Stands for the keeper: starts programs with the streams they are given, and knows how they end."""

    def __init__(self) -> None:
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(
        self, program: str, stdin: Stream = DEVNULL, stdout: Stream = None, stderr: Stream = None
    ) -> GuestProcess[bytes]:
        streams = StandardStreams(stdin, stdout, stderr)
        reading, writing, errors = streams.theirs
        process = subprocess.Popen([sys.executable, "-c", program], stdin=reading, stdout=writing, stderr=errors)
        streams.hand_over()
        self.processes.append(process)
        executed = EnteredProcess(id="1", uuid="u", pid=process.pid, pidfd=Fd(os.pidfd_open(process.pid)), master=None)
        return GuestProcess(executed, streams, self._end_of)

    def _end_of(self, _: str, pidfd: int, timeout: float | None) -> int | None:
        try:
            code = self.processes[-1].wait(timeout)
        except subprocess.TimeoutExpired:
            raise OperationTimeoutError("it has not ended") from None
        return -code if code < 0 else code << 8


@pytest.fixture
def start() -> Iterator[Callable[..., GuestProcess[bytes]]]:
    host = Host()
    yield host.start
    for each in host.processes:
        each.kill()
        each.wait()


ECHO = "import sys; data = sys.stdin.buffer.read(); sys.stdout.buffer.write(data); print(len(data), file=sys.stderr)"


def test_much_data_goes_in_and_out_at_the_same_time(start: Callable[..., GuestProcess[bytes]]) -> None:
    data = os.urandom(1 << 20)
    with start(ECHO, PIPE, PIPE, PIPE) as process:
        output, errors = process.communicate(data)
    assert (output, errors) == (data, b"1048576\n")
    assert process.returncode == 0


def test_a_reader_that_goes_away_is_no_error(start: Callable[..., GuestProcess[bytes]]) -> None:
    with start("import sys; sys.stdin.close(); print('enough')", PIPE, PIPE) as process:
        output, _ = process.communicate(b"x" * (1 << 20))
    assert output == b"enough\n"


def test_errors_can_go_where_output_goes(start: Callable[..., GuestProcess[bytes]]) -> None:
    with start("import sys; print('a', flush=True); print('b', file=sys.stderr)", DEVNULL, PIPE, STDOUT) as process:
        assert process.communicate() == (b"a\nb\n", b"")


def test_only_errors_can_go_where_output_goes() -> None:
    with pytest.raises(OperationInvalidError, match="only stderr"):
        StandardStreams(DEVNULL, STDOUT, PIPE)


def test_exit_statuses_are_those_of_subprocess(start: Callable[..., GuestProcess[bytes]]) -> None:
    process = start("import time; time.sleep(1000)")
    assert process.poll() is None
    with pytest.raises(OperationTimeoutError):
        process.wait(0.01)
    process.kill()
    assert process.wait() == -9
    process.terminate()
    assert start("exit(7)").wait() == 7


def test_a_status_that_is_told_once_reaches_everybody_who_waits() -> None:
    told = [7 << 8]
    asked, ended = threading.Event(), threading.Event()

    def end_of(_: str, pidfd: int, timeout: float | None) -> int | None:
        asked.set()
        assert ended.wait(patience(10) if timeout is None else timeout)
        return told.pop()

    executed = EnteredProcess(id="1", uuid="u", pid=1, pidfd=Fd(os.pidfd_open(os.getpid())), master=None)
    streams = StandardStreams(DEVNULL, DEVNULL, DEVNULL)
    streams.hand_over()
    process = GuestProcess(executed, streams, end_of)
    with ThreadPoolExecutor() as threads:
        first = threads.submit(process.wait)
        assert asked.wait(patience(10))
        second = threads.submit(process.wait)
        assert process.poll() is None, "it runs, and somebody waits already"
        with pytest.raises(OperationTimeoutError):
            process.wait(0.01)
        ended.set()
        assert [each.result(patience(10)) for each in (first, second)] == [7, 7]
    assert process.wait() == 7


def test_a_process_that_is_slow_is_left_alone_by_a_time_limit(start: Callable[..., GuestProcess[bytes]]) -> None:
    process = start("import time; time.sleep(1000)", DEVNULL, PIPE)
    with pytest.raises(OperationTimeoutError, match="not finished in time"):
        process.communicate(timeout=0.05)
    assert process.poll() is None
    process.kill()
    process.wait()
    process.close()


def test_leaving_the_block_by_an_error_ends_the_process(start: Callable[..., GuestProcess[bytes]]) -> None:
    def fail() -> None:
        with start("import time; time.sleep(1000)") as process:
            seen.append(process)
            raise KeyError

    seen: list[GuestProcess[bytes]] = []
    with pytest.raises(KeyError):
        fail()
    assert seen[0].returncode == -9


def test_a_terminal_is_both_directions() -> None:
    master, slave = os.openpty()
    streams = StandardStreams.of_terminal(master)
    writer, reader, _ = streams.ours
    assert writer is not None
    assert reader is not None
    writer.write(b"hello\n")
    assert os.read(slave, 100) == b"hello\n"
    assert until(lambda: os.read(reader.fileno(), 100), "the echo").startswith(b"hello")
    for stream in (writer, reader):
        stream.close()
    os.close(slave)


def test_no_fd_is_left_when_there_is_no_process() -> None:
    before = len(open_fds())
    StandardStreams(PIPE, PIPE, DEVNULL).give_up()
    assert len(open_fds()) == before


def test_texts_are_passed_on_at_once_and_read_line_by_line() -> None:
    host = Host()
    streams = StandardStreams(PIPE, PIPE, DEVNULL)
    reading, writing, errors = streams.theirs
    program = "while True: print(input().upper(), flush=True)"
    process = subprocess.Popen([sys.executable, "-c", program], stdin=reading, stdout=writing, stderr=errors)
    streams.hand_over()
    host.processes.append(process)
    executed = EnteredProcess(id="1", uuid="u", pid=process.pid, pidfd=Fd(os.pidfd_open(process.pid)), master=None)
    with GuestProcess[str](executed, streams, host._end_of, TextForm("utf-8", "strict")) as guest:
        assert guest.stdin is not None
        assert guest.stdout is not None
        guest.stdin.write("grü")
        guest.stdin.write("ße\n")
        assert guest.stdout.readline() == "GRÜSSE\n"
        guest.stdin.close()
