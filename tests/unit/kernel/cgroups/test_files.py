import errno
import os
from pathlib import Path

import pytest

from insula.kernel.cgroups import files


def test_a_text_is_read_without_its_last_newline(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert files.read(f"{tmp_path}/cpu.max") == "max 100000"


def test_a_text_longer_than_one_read_is_read_whole(tmp_path: Path) -> None:
    long = "12345\n" * 40_000
    (tmp_path / "memory.stat").write_text(long)
    assert files.read(f"{tmp_path}/memory.stat") == long.rstrip("\n")


def test_a_file_missing_in_a_group_is_told_from_a_group_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="controller is not enabled") as in_group:
        files.read(f"{tmp_path}/memory.max")
    with pytest.raises(OSError, match="no such control group") as no_group:
        files.write(f"{tmp_path}/gone/memory.max", "1")
    assert (in_group.value.errno, no_group.value.errno) == (errno.EOPNOTSUPP, errno.ENOENT)


def test_what_is_not_there_can_be_asked_for(tmp_path: Path) -> None:
    (tmp_path / "memory.peak").write_text("7\n")
    assert files.read_if_there(f"{tmp_path}/memory.peak") == "7"
    assert files.read_if_there(f"{tmp_path}/memory.high") is None


def test_a_refused_write_names_the_value_and_the_file() -> None:
    with pytest.raises(OSError, match=r"writing '17'.*/dev/full") as refusal:
        files.write("/dev/full", "17")
    assert refusal.value.errno == errno.ENOSPC


def test_flat_lines_become_numbers_and_strange_lines_are_passed_over() -> None:
    assert files.flat_keyed("anon 4096\nfile 0\nodd line here\n") == {"anon": 4096, "file": 0}
    assert files.flat_keyed("anon 4096\nodd line here\nodd\n") == {"anon": 4096}


def test_nested_lines_become_a_dictionary_for_each_name() -> None:
    text = "8:0 rbps=1000 wbps=max\nsome avg10=0.50 total=12\n"
    assert files.nested_keyed(text) == {
        "8:0": {"rbps": "1000", "wbps": "max"},
        "some": {"avg10": "0.50", "total": "12"},
    }


def test_max_is_no_limit() -> None:
    assert (files.number("max"), files.number("42\n")) == (None, 42)


def test_the_end_of_a_text_is_not_asked_for_once_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "memory.stat").write_text("cache 0\n")
    read, sizes = os.read, []

    def noting(fd: int, size: int) -> bytes:
        sizes.append(size)
        return read(fd, size)

    monkeypatch.setattr(os, "read", noting)
    assert files.read(f"{tmp_path}/memory.stat") == "cache 0"
    assert len(sizes) == 1


def test_processes_are_listed_to_the_end_though_the_kernel_gives_less_than_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in range(100_000, 102_000)))
    read = os.read
    monkeypatch.setattr(os, "read", lambda fd, size: read(fd, min(size, 4090)))  # whole lines of one page
    assert files.processes(str(tmp_path)) == list(range(100_000, 102_000))


def test_a_group_that_is_gone_has_no_processes(tmp_path: Path) -> None:
    assert files.processes(f"{tmp_path}/gone") == []
