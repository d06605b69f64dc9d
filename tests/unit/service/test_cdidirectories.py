"""Which of the host's descriptions of devices count, and that hostile ones hinder nothing."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from insula.errors import UnsupportedConfigError
from insula.service.cdidirectories import CdiDirectories


def write(directory: Path, name: str, kind: str = "v.com/x", device: str = "0", **edits: Any) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    document = {"cdiVersion": "0.6.0", "kind": kind, "devices": [{"name": device, "containerEdits": edits}]}
    path.write_text(json.dumps(document))
    return path


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    return tmp_path / "etc"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def directories(etc: Path, run: Path) -> CdiDirectories:
    return CdiDirectories((etc, run))


def test_without_directories_there_is_nothing_and_nothing_is_wrong(directories: CdiDirectories) -> None:
    found = directories.read()
    assert (dict(found.devices), dict(found.faults)) == ({}, {}) and found.find("v.com/x=0") is None


def test_the_later_directory_counts(directories: CdiDirectories, etc: Path, run: Path) -> None:
    write(etc, "a.json", env=["FROM=etc"])
    write(run, "b.json", env=["FROM=run"])
    found = directories.read().find("v.com/x=0")
    assert found is not None and found.environment == (("FROM", "run"),)


def test_a_device_of_two_files_of_one_directory_is_neithers(directories: CdiDirectories, etc: Path, run: Path) -> None:
    write(etc, "a.json"), write(etc, "b.json"), write(etc, "c.json", device="1")
    found = directories.read()
    with pytest.raises(UnsupportedConfigError, match=r"described by .*/a.json and by .*/b.json"):
        found.find("v.com/x=0")
    assert found.find("v.com/x=1") is not None
    write(run, "a.json")
    assert directories.read().find("v.com/x=0") is not None


def test_what_is_wrong_with_a_file_is_told_and_hinders_no_other(directories: CdiDirectories, etc: Path) -> None:
    write(etc, "good.json")
    (etc / "empty.json").touch()
    (etc / "ignored.txt").write_text("nothing")
    (etc / "binary.json").write_bytes(b"\xff\xfe")
    (etc / "huge.json").write_bytes(b" " * (1024 * 1024 + 1))
    (etc / "directory.json").mkdir()
    os.mkfifo(etc / "pipe.json")
    (etc / "cycle.json").symlink_to("cycle.json")
    (etc / "nowhere.json").symlink_to("/nowhere/x")
    (etc / "endless.json").symlink_to("/dev/zero")
    write(etc, "writable.json", device="7").chmod(0o666)
    found = directories.read()
    assert list(found.devices) == ["v.com/x=0"]
    faults = {Path(path).name: why for path, why in found.faults.items()}
    assert set(faults) == {
        *("empty.json", "binary.json", "huge.json", "directory.json", "pipe.json", "cycle.json"),
        *("nowhere.json", "endless.json", "writable.json"),
    }
    assert faults["huge.json"] == "it has 1048577 bytes, more than 1048576"
    assert faults["endless.json"] == faults["pipe.json"] == "it is no file"
    assert "Too many levels of symbolic links" in faults["cycle.json"]
    assert "others than root could write it" in faults["writable.json"]


def test_a_directory_that_others_could_write_says_nothing(directories: CdiDirectories, etc: Path) -> None:
    write(etc, "a.json")
    etc.chmod(0o777)
    found = directories.read()
    assert not found.devices and "others than root could write it" in found.faults[str(etc)]


def test_a_link_to_a_file_of_roots_is_followed(directories: CdiDirectories, etc: Path, tmp_path: Path) -> None:
    elsewhere = write(tmp_path / "elsewhere", "x")
    etc.mkdir()
    (etc / "vendor.json").symlink_to(elsewhere)
    assert list(directories.read().devices) == ["v.com/x=0"]


def test_a_file_is_parsed_once_until_it_changes(
    directories: CdiDirectories, etc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(etc, "a.json")
    first = directories.read()
    with monkeypatch.context() as patched:
        patched.setattr("insula.service.cdidirectories.read_cdi", None)
        assert directories.read() == first
    path.write_text(path.read_text().replace('"0"', '"another"'))
    assert list(directories.read().devices) == ["v.com/x=another"]
    path.unlink()
    assert not directories.read().devices
