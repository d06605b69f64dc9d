"""Tests of insula.relay.input, through a relay."""

import contextlib
import os
import select
from pathlib import Path

import pytest

from insula.relay.relay import relayed
from tests.unit.relay.relaying import NULL, attend, program


def test_keys_reach_the_command_and_so_does_the_end_of_the_input(user: tuple[int, int]) -> None:
    master, slave = user
    with relayed(slave, slave, slave) as relay, program(relay) as inside:
        os.write(master, b"typed\n")
        attend(relay)
        assert os.read(inside.streams[0], 100) == b"typed\n"
        os.write(master, b"\x04")
        attend(relay)
        assert os.read(inside.streams[0], 100) == b""


def test_a_command_that_does_not_read_holds_nobody_up(user: tuple[int, int]) -> None:
    master, slave = user
    with relayed(slave, slave, slave) as relay, program(relay) as inside:
        os.set_blocking(master, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(master, b"x" * 3000 + b"\n")
                attend(relay)
                os.read(master, 65536)
        assert relay.writable() and not relay.readable()[1:]
        inside.close(0)
        attend(relay)
        assert not relay.writable()


@pytest.mark.parametrize("kind", ["file", "pipe"])
@pytest.mark.parametrize(("size", "taken"), [(10, 0), (10, 4), (10, 10), (300_000, 10), (300_000, 5000)])
def test_what_the_program_does_not_read_is_there_for_the_next(
    tmp_path: Path, pipe: tuple[int, int], kind: str, size: int, taken: int
) -> None:
    data = os.urandom(size)
    if kind == "file":
        (tmp_path / "input").write_bytes(data)
        source = os.open(tmp_path / "input", os.O_RDONLY)
    else:
        data = data[:60_000]  # what fits into a pipe
        os.write(pipe[1], data)
        os.close(pipe[1])
        source = os.dup(pipe[0])
    with relayed(source, NULL, NULL) as relay, program(relay) as inside:
        got = b""
        while len(got) < taken:
            attend(relay)
            got += os.read(inside.streams[0], taken - len(got))
        attend(relay)
        relay.ended()
    with open(source, "rb") as rest:
        assert (got, rest.read()) == (data[:taken], data[taken:])


@pytest.mark.parametrize("kind", ["file", "pipe"])
def test_all_of_a_long_input_arrives(tmp_path: Path, pipe: tuple[int, int], kind: str) -> None:
    data = os.urandom(1 << 20)
    reader, writer = pipe
    if kind == "file":
        (tmp_path / "input").write_bytes(data)
        reader = os.open(tmp_path / "input", os.O_RDONLY)
    elif os.fork() == 0:
        with open(writer, "wb") as sink:
            sink.write(data)
        os._exit(0)
    else:
        os.close(writer)
    got = b""
    with relayed(reader, NULL, NULL) as relay, program(relay) as inside:
        theirs = inside.streams[0]
        os.set_blocking(theirs, False)
        while True:
            ready = select.select([theirs, *relay.readable()], relay.writable(), (), 5)
            relay.attend([*ready[0], *ready[1]])
            if theirs in ready[0]:
                if not (piece := os.read(theirs, 65536)):
                    break
                got += piece
    assert got == data
    if kind == "pipe":
        os.wait()
    else:
        os.close(reader)


def test_a_program_that_fills_or_widens_its_own_input_holds_nobody_up(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.write(writer, b"x" * 5000)
    with relayed(reader, NULL, NULL) as relay:
        widened = os.open(f"/proc/self/fd/{relay.passed[0]}", os.O_WRONLY | os.O_NONBLOCK)
        with program(relay):
            with contextlib.suppress(BlockingIOError):
                while True:
                    os.write(widened, b"y" * 4096)
            for _ in range(50):
                ready = select.select(relay.readable(), relay.writable(), (), 0)
                relay.attend([*ready[0], *ready[1]])
            assert select.select(relay.readable(), relay.writable(), (), 0.1)[:2] == ([], [])
        os.close(widened)
