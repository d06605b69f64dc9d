"""Tests of insula.relay.output, through a relay."""

import contextlib
import os
import select
from pathlib import Path

import pytest

from insula.errors import OperationFailedError
from insula.relay.relay import relayed
from tests.unit.relay.relaying import NULL, attend, program


def test_what_goes_to_a_terminal_passes_a_screen_and_nothing_else_does(
    user: tuple[int, int], pipe: tuple[int, int]
) -> None:
    class Upper:
        def feed(self, data: bytes) -> bytes:
            return data.upper()

        def finish(self) -> bytes:
            return b"!"

    with relayed(NULL, pipe[1], user[1], screen=Upper) as relay, program(relay) as inside:
        os.write(inside.streams[1], b"good")
        os.write(inside.streams[2], b"bad")
        relay.ended()
        attend(relay)
        assert not relay.busy
    assert os.read(pipe[0], 100) == b"good" and os.read(user[0], 100) == b"BAD!"


def test_a_slow_reader_of_the_output_does_not_hold_up_the_errors(pipe: tuple[int, int], tmp_path: Path) -> None:
    errors = os.open(tmp_path / "errors", os.O_WRONLY | os.O_CREAT)
    with relayed(NULL, pipe[1], errors) as relay, program(relay) as inside:
        os.set_blocking(inside.streams[1], False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(inside.streams[1], b"x" * 4096)
                attend(relay)
        os.write(inside.streams[2], b"bad")
        attend(relay)
        assert (tmp_path / "errors").read_bytes() == b"bad"
        assert os.get_blocking(pipe[1])  # the caller's own description stays as it was
    os.close(errors)


def test_a_reader_that_has_gone_is_told_to_the_program_and_no_failure(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    with relayed(NULL, pipe[1], NULL) as relay, program(relay) as inside:
        os.write(inside.streams[1], b"more")
        attend(relay)
        with pytest.raises(BrokenPipeError):
            os.write(inside.streams[1], b"more")
        assert not relay.busy
        relay.check()


def test_what_cannot_be_written_is_a_failure() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    with relayed(NULL, full, NULL) as relay:
        os.write(relay.passed[1], b"lost")
        attend(relay)
        with pytest.raises(OperationFailedError, match="standard output cannot be written: No space left on device"):
            relay.check()
    os.close(full)


def test_the_end_waits_for_a_slow_reader(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    with relayed(NULL, writer, NULL) as relay, program(relay) as inside:
        os.write(inside.streams[1], b"last words")
        relay.ended()
        attend(relay)
        assert relay.busy
        while relay.busy:
            last = os.read(reader, 65536)
            attend(relay)
        last += os.read(reader, 65536) if select.select([reader], (), (), 0)[0] else b""
        assert last.endswith(b"last words")
