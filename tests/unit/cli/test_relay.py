import contextlib
import os
import select
from collections.abc import Iterator

import pytest

from insula.cli.relay import Relay, relayed


@pytest.fixture
def user() -> Iterator[tuple[int, int]]:
    """A terminal: the user's side and ours."""
    master, slave = os.openpty()
    yield master, slave
    os.close(master)
    os.close(slave)


def attend(relay: Relay) -> None:
    """Copy what can be copied now."""
    while ready := [each for some in select.select(relay.readable(), relay.writable(), (), 0.2) for each in some]:
        relay.attend(ready)


def test_what_is_no_terminal_is_passed_as_it_is() -> None:
    reader, writer = os.pipe()
    with relayed(reader, writer, writer) as relay:
        assert relay.passed == (reader, writer, writer)
        assert not relay.readable() and not relay.writable() and relay.patience is None
    os.close(reader)
    os.close(writer)


def test_no_stream_no_relay() -> None:
    with relayed() as relay:
        assert relay.passed == () and not relay.readable()


def test_a_command_never_gets_the_terminal(user: tuple[int, int]) -> None:
    _, slave = user
    with relayed(slave, slave, slave) as relay:
        assert not any(os.isatty(each) for each in relay.passed)


def test_output_and_errors_for_one_terminal_keep_their_order(user: tuple[int, int]) -> None:
    master, slave = user
    with relayed(slave, slave, slave) as relay:
        for number in range(6):
            os.write(relay.passed[1 + number % 2], b"%d" % number)
        attend(relay)
        assert os.read(master, 100) == b"012345"


def test_errors_alone_are_relayed_if_they_alone_go_to_the_terminal(user: tuple[int, int]) -> None:
    master, slave = user
    reader, writer = os.pipe()
    with relayed(reader, writer, slave) as relay:
        assert relay.passed[:2] == (reader, writer)
        os.write(relay.passed[2], b"bad")
        attend(relay)
        assert os.read(master, 100) == b"bad"
    os.close(reader)
    os.close(writer)


def test_keys_reach_the_command_and_so_does_the_end_of_the_input(user: tuple[int, int]) -> None:
    master, slave = user
    with relayed(slave, slave, slave) as relay:
        theirs = os.dup(relay.passed[0])
        relay.passed_on()
        os.write(master, b"typed\n")
        attend(relay)
        assert os.read(theirs, 100) == b"typed\n"
        os.write(master, b"\x04")
        attend(relay)
        assert os.read(theirs, 100) == b""
        os.close(theirs)


def test_a_command_that_does_not_read_holds_nobody_up(user: tuple[int, int]) -> None:
    master, slave = user
    with relayed(slave, slave, slave) as relay:
        theirs = os.dup(relay.passed[0])
        relay.passed_on()
        os.set_blocking(master, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(master, b"x" * 3000 + b"\n")
                attend(relay)
                os.read(master, 65536)
        assert relay.writable() and not relay.readable()[1:]
        os.close(theirs)
        attend(relay)
        assert not relay.writable()


def test_what_was_said_before_the_end_is_shown_though_others_keep_the_pipe(user: tuple[int, int]) -> None:
    master, slave = user
    with relayed(slave, slave, slave) as relay:
        theirs = os.dup(relay.passed[1])
        relay.passed_on()
        os.write(theirs, b"last words")
        relay.finish()
        relay.finish()
        assert os.read(master, 100) == b"last words"
        os.close(theirs)


def test_nothing_stays_open(user: tuple[int, int]) -> None:
    before = set(os.listdir("/proc/self/fd"))
    with relayed(*[user[1]] * 3):
        pass
    assert set(os.listdir("/proc/self/fd")) == before
