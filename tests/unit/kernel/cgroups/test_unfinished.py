import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from insula.kernel.cgroups import files, unfinished, v2

MIB = 1 << 20


@dataclass(slots=True)
class Attributes:
    """The extended attributes of directories, where no file system keeps any. refused: nor may we write them."""

    kept: dict[tuple[str, str], bytes] = field(default_factory=dict)
    refused: bool = False

    def set(self, path: str, name: str, value: bytes) -> None:
        if self.refused:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM), path)
        self.kept[path, name] = value

    def get(self, path: str, name: str) -> bytes:
        if (path, name) not in self.kept:
            raise OSError(errno.ENODATA, os.strerror(errno.ENODATA), path)
        return self.kept[path, name]

    def remove(self, path: str, name: str) -> None:
        self.get(path, name)
        del self.kept[path, name]


@pytest.fixture
def attributes(monkeypatch: pytest.MonkeyPatch) -> Attributes:
    made = Attributes()
    monkeypatch.setattr(os, "setxattr", made.set)
    monkeypatch.setattr(os, "getxattr", made.get)
    monkeypatch.setattr(os, "removexattr", made.remove)
    return made


BEFORE = {"memory.max": str(200 * MIB), "memory.swap.max": str(50 * MIB), "memory.high": "max"}


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A v2 group whose programs use 100 MiB of the 200 that they may, and free nothing."""
    monkeypatch.setattr(files, "write", lambda path, value: Path(path).write_text(f"{value}\n"))
    for name, text in {**BEFORE, "memory.current": str(100 * MIB)}.items():
        (tmp_path / name).write_text(f"{text}\n")
    return tmp_path


def limits(group: Path) -> dict[str, str]:
    return {name: (group / name).read_text().strip() for name in BEFORE}


def _watched(group: Path, monkeypatch: pytest.MonkeyPatch, at_each_write: Callable[[], None]) -> None:
    """Let the kernel free what a limit of either kind asks for, and see each moment right after a write."""

    def write(path: str, value: str) -> None:
        Path(path).write_text(f"{value}\n")
        if value != "max" and not path.endswith("swap.max"):
            used = int((group / "memory.current").read_text())
            (group / "memory.current").write_text(f"{min(used, int(value))}\n")
        at_each_write()

    monkeypatch.setattr(files, "write", write)


def test_a_daemon_killed_anywhere_in_a_change_of_limits_leaves_what_undoes_it(
    group: Path, attributes: Attributes, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments: list[tuple[dict[str, str], dict[tuple[str, str], bytes]]] = []
    with monkeypatch.context() as patch:
        _watched(group, patch, lambda: moments.append((limits(group), dict(attributes.kept))))
        v2.V2Memory(str(group)).limit(memory=40 * MIB)
    made = limits(group)
    assert (made["memory.max"], made["memory.high"]) == (str(40 * MIB), "max")
    assert attributes.kept == {}

    assert len(moments) >= 4 and any(each["memory.high"] != "max" for each, _ in moments)
    for left, noted in moments:
        for name, text in left.items():
            (group / name).write_text(f"{text}\n")
        attributes.kept = dict(noted)
        memory = v2.V2Memory(str(group))
        assert memory.has_unfinished
        assert memory.undo_unfinished()
        assert not memory.has_unfinished
        assert not memory.undo_unfinished()
        assert limits(group) == BEFORE


def test_nothing_is_undone_where_nothing_was_begun(group: Path, attributes: Attributes) -> None:
    (group / "memory.high").write_text("7\n")
    assert not v2.V2Memory(str(group)).undo_unfinished()
    assert (group / "memory.high").read_text() == "7\n"


def test_a_refused_change_leaves_no_note(group: Path, attributes: Attributes) -> None:
    with pytest.raises(OSError, match="do not shrink"):
        v2.V2Memory(str(group)).limit(memory=40 * MIB)
    assert attributes.kept == {}
    assert limits(group) == BEFORE


def test_limits_change_where_no_note_can_be_kept(group: Path, attributes: Attributes) -> None:
    attributes.refused = True
    v2.V2Memory(str(group)).limit(memory=220 * MIB)
    assert limits(group)["memory.max"] == str(220 * MIB)


def test_a_note_stays_until_everything_is_as_it_was(
    group: Path, attributes: Attributes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with unfinished.noted(str(group), "memory.max", "memory.high"):
        noted = dict(attributes.kept)
    attributes.kept.update(noted)

    def refuse(path: str, value: str) -> None:
        raise OSError(errno.EIO, "no", path)

    with monkeypatch.context() as patch:
        patch.setattr(files, "write", refuse)
        with pytest.raises(OSError, match="no"):
            unfinished.undo(str(group))
    assert attributes.kept == noted
    assert unfinished.undo(str(group))
