"""Idle memory of a v2 group, over files that are written as the kernel would; the kernel itself in tests/e2e."""

from pathlib import Path

import pytest

from insula.kernel.cgroups import files
from insula.kernel.cgroups.idlememory import IdleMemory, IdleReading
from insula.kernel.cgroups.shrinking import _PAGE
from insula.kernel.cgroups.v1 import V1Memory
from insula.kernel.cgroups.v2 import V2Memory


@pytest.fixture
def group(tmp_path: Path) -> Path:
    texts = {
        "memory.current": "100\n",
        "memory.min": "10\n",
        "memory.low": "30\n",
        "memory.stat": "anon 5\nworkingset_refault_anon 2\nworkingset_refault_file 3\n",
        "memory.pressure": "some avg10=1.00 avg60=0.50 avg300=0.10 total=777\nfull avg10=0 avg60=0 avg300=0 total=5\n",
        "memory.reclaim": "",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_what_is_known_of_a_group_is_read(group: Path) -> None:
    assert IdleMemory(str(group)).read() == IdleReading(used=100, kept=30, refaulted=5 * _PAGE, stalled=777)
    (group / "memory.min").write_text("max\n")
    assert IdleMemory(str(group)).read().kept == 100
    for name in ("memory.pressure", "memory.low", "memory.min"):
        (group / name).unlink()
    assert IdleMemory(str(group)).read() == IdleReading(used=100, kept=0, refaulted=5 * _PAGE, stalled=0)


def test_a_group_that_is_gone_is_told_as_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        IdleMemory(str(tmp_path / "gone")).read()


@pytest.mark.parametrize("short", [False, True])
def test_so_much_is_taken_as_there_is(group: Path, monkeypatch: pytest.MonkeyPatch, short: bool) -> None:
    written: list[tuple[str, str]] = []

    def write(path: str, value: str) -> None:
        written.append((Path(path).name, value))
        (group / "memory.current").write_text("90\n")
        if short:
            raise BlockingIOError(11, "writing '40': Resource temporarily unavailable", path)

    monkeypatch.setattr(files, "write", write)
    assert IdleMemory(str(group)).take(40) == 10
    assert written == [("memory.reclaim", "40")]


def test_a_group_that_takes_more_meanwhile_gave_nothing(group: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "write", lambda path, value: (group / "memory.current").write_text("200\n"))
    assert IdleMemory(str(group)).take(40) == 0


def test_only_groups_with_the_file_have_any(group: Path) -> None:
    assert V2Memory(str(group)).idle == IdleMemory(str(group))
    (group / "memory.reclaim").unlink()
    assert V2Memory(str(group)).idle is None
    assert V1Memory(str(group)).idle is None
