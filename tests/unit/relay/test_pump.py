import contextlib
import os

import pytest

from insula.errors import InvalidArgumentError, OperationFailedError, OperationTimeoutError
from insula.relay.pump import Pump
from tests.descriptors import open_fds
from tests.waiting import until

NULL = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)


def started(*streams: int) -> tuple[Pump, list[int]]:
    """A pump, and the program's ends."""
    pump = Pump(streams)
    theirs = [os.dup(each) for each in pump.passed]
    pump.start()
    return pump, theirs


def test_the_end_comes_when_all_that_was_said_is_there(pipe: tuple[int, int]) -> None:
    before = open_fds()
    pump, theirs = started(NULL, pipe[1], NULL)
    os.write(theirs[1], b"x" * 10_000)
    pump.finish()
    assert len(os.read(pipe[0], 65536)) == 10_000
    for each in theirs:
        os.close(each)
    pump.finish()
    pump.close()
    assert open_fds() == before


def test_the_caller_may_close_its_descriptors_as_soon_as_it_has_passed_them(pipe: tuple[int, int]) -> None:
    pump, theirs = started(pipe[0], NULL, NULL)
    os.close(pipe[0])
    os.write(pipe[1], b"typed")
    assert until(lambda: os.read(theirs[0], 100), "the input") == b"typed"
    pump.close()
    for each in theirs:
        os.close(each)


def test_output_that_nobody_takes_is_waited_for_as_long_as_asked(pipe: tuple[int, int]) -> None:
    os.set_blocking(pipe[1], False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(pipe[1], b"x" * 4096)
    pump, theirs = started(NULL, pipe[1], NULL)
    os.write(theirs[1], b"last")
    with pytest.raises(OperationTimeoutError, match="not taken"):
        pump.finish(0.05)
    pump.close()
    for each in theirs:
        os.close(each)


def test_what_cannot_be_written_is_told() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    pump, theirs = started(NULL, NULL, full)
    os.write(theirs[2], b"lost")
    with pytest.raises(OperationFailedError, match="standard error cannot be written"):
        pump.finish()
    for each in (*theirs, full):
        os.close(each)


def test_nothing_is_left_of_one_that_never_begins(pipe: tuple[int, int]) -> None:
    before = open_fds()
    Pump((pipe[0], pipe[1], 1000)).close()
    with pytest.raises(InvalidArgumentError):
        Pump((pipe[0], pipe[1], pipe[0]))
    assert open_fds() == before
