"""A keeper that is told to end writes down what nobody has asked for, and the next daemon finds it."""

import errno
import os
from pathlib import Path

import pytest

from insula.engine.keeper.farewell import Farewell, ended_before
from insula.engine.keeper.held import HeldProcess, StartPhase
from insula.engine.keeper.heldtable import HeldTable
from insula.kernel.fds import Fd


def held(
    uuid: str, pid: int, status: int | None, *, launch: str | None = "l1", execution: str | None = None
) -> HeldProcess:
    process = HeldProcess(uuid, pid, Fd(1000), execution=execution)
    process.launch, process.status = launch, status
    process.phase = StartPhase.RUNNING if status is None else StartPhase.EXITED
    return process


def farewell(place: Path, *processes: HeldProcess) -> Farewell:
    table = HeldTable()
    for each in processes:
        table.add(each)
    return Farewell(table, os.open(place, os.O_WRONLY | os.O_APPEND | os.O_CREAT))


def test_it_is_due_once_it_is_wanted_and_nobody_lives(tmp_path: Path) -> None:
    guest, entered = held("u1", 7, None), held("u1", 8, None, execution="e1")
    words = farewell(tmp_path / "ends", guest, entered)
    assert not words.is_due(clients=0)
    words.wanted = True
    assert not words.is_due(clients=0)
    guest.phase = StartPhase.EXITED
    assert not words.is_due(clients=0)
    entered.phase = StartPhase.EXITED
    assert words.is_due(clients=0)


def test_while_a_client_is_there_it_may_ask_how_all_ended(tmp_path: Path) -> None:
    words = farewell(tmp_path / "ends", held("u1", 7, 0))
    words.wanted = True
    assert not words.is_due(clients=1)
    nobody = farewell(tmp_path / "ends")
    nobody.wanted = True
    assert nobody.is_due(clients=1)


def test_what_is_written_is_found_by_guest_launch_and_pid(tmp_path: Path) -> None:
    place = tmp_path / "ends"
    farewell(place, held("u1", 7, 256), held("u2", 9, 1, launch=None), held("u1", 8, 0, execution="e1")).write()
    farewell(place, held("u3", 11, 0)).write()
    assert ended_before(place, "u1", "l1", 7) == 256
    assert ended_before(place, "u2", None, 9) == 1
    assert ended_before(place, "u3", "l1", 11) == 0
    for wrong in (("u1", "l2", 7), ("u1", "l1", 8), ("u4", "l1", 7)):
        assert ended_before(place, *wrong) is None


@pytest.mark.parametrize("content", [b"", b"u1 l1 7", b"u1 l1 7 x\n", b"u1 l1 7 0 0\n", b"\xff\xfe\0\n", None])
def test_what_is_no_such_line_tells_nothing(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "ends").write_bytes(content)
    assert ended_before(tmp_path / "ends", "u1", "l1", 7) is None


def test_without_a_place_it_ends_all_the_same() -> None:
    table = HeldTable()
    table.add(held("u1", 7, 0))
    words = Farewell(table, -1)
    words.wanted = True
    words.write()
    assert words.is_due(clients=0)


def test_half_a_status_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full takes the beginning of a line: 25 of 256."""
    place, real, full = tmp_path / "ends", os.write, True

    def write(file: int, data: bytes) -> int:
        if data.startswith(b"u1"):
            return real(file, data[:-2])
        if full and data == b"\x00\n":
            raise OSError(errno.ENOSPC, "no space left")
        return real(file, data)

    monkeypatch.setattr(os, "write", write)
    farewell(place, held("u1", 7, 256)).write()
    assert place.read_text() == "u1 l1 7 25"
    assert ended_before(place, "u1", "l1", 7) is None
    place.unlink()
    full = False
    farewell(place, held("u1", 7, 256), held("u2", 9, 1)).write()
    assert (ended_before(place, "u1", "l1", 7), ended_before(place, "u2", "l1", 9)) == (None, 1)
