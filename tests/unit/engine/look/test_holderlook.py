"""Tests of insula.engine.look.holderlook, about this very process."""

import ctypes
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from insula.engine.look.holderlook import find_holders


def found(place: object, device: str | None = None, *pids: int) -> dict[str, Any]:
    arguments = {"init": os.getpid(), "pids": list(pids or (os.getpid(),)), "place": str(place), "device": device}
    return find_holders(arguments, {})


def test_whose_directory_program_or_file_is_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = Path("/proc/self/comm").read_text().strip()
    assert found(tmp_path)["holders"] == []
    with (tmp_path / "word").open("w+b"):
        (holder,) = found(tmp_path)["holders"]
        assert holder == [os.getpid(), name, f"{tmp_path}/word is open"]
    monkeypatch.chdir(tmp_path)
    assert found(tmp_path)["holders"][0][2] == "its working directory"
    assert found(Path(os.readlink("/proc/self/exe")))["holders"][0][2] == "its program"


def test_whose_memory_it_is_in_is_told(tmp_path: Path) -> None:
    loaded = next(line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if "/libc.so" in line)
    library = tmp_path / "libc.so"
    shutil.copy(loaded, library)
    ctypes.CDLL(str(library))
    assert found(tmp_path)["holders"][0][2] == f"{library} is in its memory"


def test_a_name_that_only_begins_alike_is_another(tmp_path: Path) -> None:
    with (tmp_path / "word").open("w"):
        assert found(tmp_path / "wor")["holders"] == []
        assert found(tmp_path / "word", "1:3")["holders"] != []


def test_what_is_mounted_below_is_counted_and_who_has_it_open_is_told() -> None:
    with open("/proc/self/status") as file:
        assert found("/proc")["holders"][0][2] == f"{file.name.replace('self', str(os.getpid()))} is open"
    assert found("/")["below"] >= 1
    assert found("/no/such/place")["below"] == 0


def test_who_has_ended_meanwhile_holds_nothing(tmp_path: Path) -> None:
    gone = os.fork()
    if gone == 0:
        os._exit(0)
    os.waitpid(gone, 0)
    assert found(tmp_path, None, gone)["holders"] == []
