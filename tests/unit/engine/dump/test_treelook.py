"""The archive of a guest's processes: whole, or refused before anything is written."""

import errno
import json
import os
import signal
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from insula.engine.dump import treelook
from insula.engine.dump.treelook import PROGRESS, dump_tree
from insula.kernel.fds import Fd
from tests.unit.engine.dump.dumped import REMEMBERED, group_of, running, states
from tests.waiting import until


@pytest.fixture
def fds(tmp_path: Path) -> Iterator[dict[str, Fd]]:
    before = signal.getsignal(signal.SIGCHLD)
    made = {
        "file": Fd(os.open(tmp_path / "archive", os.O_RDWR | os.O_CREAT, 0o600)),
        "progress": Fd(os.memfd_create("progress")),
    }
    yield made
    for each in made.values():
        os.close(each)
    signal.signal(signal.SIGCHLD, before)


@pytest.mark.parametrize("live", [False, True])
def test_each_process_has_a_core_and_a_line_in_the_list(tmp_path: Path, fds: dict[str, Fd], live: bool) -> None:
    with running() as one, running() as other:
        group = group_of(tmp_path, one.pid, other.pid)
        said = dump_tree({"group": group, "init": one.pid, "live": live}, fds)
        until(lambda: "t" not in states(one.pid) | states(other.pid), "both going on")
    assert (said["processes"], said["incomplete"]) == (2, 0)
    with tarfile.open(tmp_path / "archive") as archive:
        names = archive.getnames()
        listed = json.load(archive.extractfile("processes.json") or pytest.fail("no list"))
        cores = [(archive.extractfile(each["file"]) or pytest.fail("no core")).read() for each in listed]
    assert {each["pid"] for each in listed} == {one.pid, other.pid}
    assert names == [*(each["file"] for each in listed), "processes.json"]
    assert all(each[:4] == b"\x7fELF" and REMEMBERED in each for each in cores)
    assert all(len(each["threads"]) == 4 and each["missing"] == [] for each in listed)
    total, done = PROGRESS.unpack(os.pread(fds["progress"], PROGRESS.size, 0))
    assert done and total >= done


def test_where_there_is_no_room_nothing_is_written(
    tmp_path: Path, fds: dict[str, Fd], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(treelook, "_MARGIN", 1 << 60)
    with running() as process:
        with pytest.raises(OSError, match="MiB are free there") as refused:
            dump_tree({"group": group_of(tmp_path, process.pid), "init": process.pid, "live": False}, fds)
        until(lambda: "t" not in states(process.pid), "it going on")
    assert refused.value.errno == errno.ENOSPC
    assert os.fstat(fds["file"]).st_size == 0


def test_a_guest_that_has_ended_is_no_empty_archive(tmp_path: Path, fds: dict[str, Fd]) -> None:
    with pytest.raises(ProcessLookupError, match="the guest has ended"):
        dump_tree({"group": group_of(tmp_path), "init": 1, "live": False}, fds)


@pytest.mark.parametrize(("program", "name"), [(b"nginx: worker", "nginx__worker"), (b"../x", ".._x"), (b"", "_")])
def test_a_guest_names_no_path(program: bytes, name: str) -> None:
    chosen: Any = treelook._file_name(program)
    assert chosen == name
