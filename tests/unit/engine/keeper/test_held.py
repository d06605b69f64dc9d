"""Tests of insula.engine.keeper.held."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula.engine.keeper.held import RING_MAX, HeldConsole, HeldProcess, Ring, StartPhase
from insula.kernel.fds import Fd, close_all, contents


@given(st.lists(st.binary(max_size=RING_MAX * 2), max_size=5))
def test_a_ring_keeps_the_latest_bytes(chunks: list[bytes]) -> None:
    ring = Ring()
    for chunk in chunks:
        ring.append(chunk)
    everything = b"".join(chunks)
    assert len(ring) == min(RING_MAX, len(everything))
    assert ring.take() == everything[-RING_MAX:]
    assert ring.take() == b""


@pytest.fixture
def terminal() -> Iterator[tuple[HeldConsole, int]]:
    master, slave = os.openpty()
    yield HeldConsole(Fd(master)), slave
    close_all([master, slave])


def test_a_console_is_drained_without_waiting(terminal: tuple[HeldConsole, int]) -> None:
    console, slave = terminal
    assert not console.drain()
    os.write(slave, b"hello\n")
    assert not console.drain()
    assert console.ring.take() == b"hello\r\n"


def test_a_console_that_nobody_has_open_says_nothing(terminal: tuple[HeldConsole, int]) -> None:
    console, slave = terminal
    os.write(slave, b"last words")
    os.close(slave)
    console.drain()
    assert console.ring.take() == b"last words"
    assert not console.drain()


def null() -> Fd:
    return Fd(os.open("/dev/null", os.O_RDONLY))


def test_a_ward_takes_its_consoles_and_leaves_other_fds() -> None:
    process = HeldProcess("uuid", 7, null())
    fds = {"console0": null(), "other": null(), "console1": null(), "console3": null()}
    process.hold_consoles(fds)
    assert list(process.masters()) == ["console0", "console1"]
    assert list(fds) == ["other", "console3"]
    close_all([*fds.values()])
    process.close()
    assert process.masters() == {}


def test_what_consoles_said_is_handed_out_once() -> None:
    process = HeldProcess("uuid", 7, null())
    process.hold_consoles({"console0": null(), "console1": null()})
    process.consoles[1].ring.append(b"said")
    rings = process.rings()
    assert {name: contents(fd) for name, fd in rings.items()} == {"ring1": b"said"}
    assert process.rings() == {}
    close_all(rings.values())
    process.close()


def test_an_adopted_ward_runs_already_and_names_are_distinct() -> None:
    adopted, entered = HeldProcess("u", 7, null(), adopted=True), HeldProcess("u", 8, null(), execution="5")
    assert (adopted.phase, entered.phase) == (StartPhase.RUNNING, StartPhase.CLONED)
    assert (adopted.name, entered.name) == ("u", "u.5")
    adopted.close()
    entered.close()


def test_a_ward_keeps_fds_by_name_and_the_newest_of_each() -> None:
    process = HeldProcess("uuid", 7, null())
    old, other, new = null(), null(), null()
    fds = {"shown0": old, "shown1": other}
    process.keep(fds)
    assert fds == {}
    process.keep({"shown0": new})
    assert process.kept == {"shown0": new, "shown1": other}
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(old)
    process.close()
    for fd in (other, new):
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)
