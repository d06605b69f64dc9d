"""A named hierarchy is asked for by descriptor, and what is taken away may never have been made."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from insula.kernel.cgroups import joining, namedhierarchy
from insula.kernel.cgroups.namedhierarchy import make_named, remove_named


@pytest.fixture
def hierarchy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that stands for the hierarchy's root."""

    @contextmanager
    def opened(name: str, attempts: int = 9) -> Iterator[str]:
        assert name == "systemd"
        yield str(tmp_path)

    monkeypatch.setattr(namedhierarchy, "_opened", opened)
    return tmp_path


def test_a_process_that_cannot_be_moved_leaves_no_group(hierarchy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int, path: str) -> None:
        raise ProcessLookupError(errno.ESRCH, "gone", path)

    monkeypatch.setattr(joining, "move", refuse)
    with pytest.raises(ProcessLookupError):
        make_named("insula-a", 4711, None)
    assert list(hierarchy.iterdir()) == []


def test_who_is_in_the_root_sees_no_names_of_groups(hierarchy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "move", lambda pid, path: None)
    make_named("insula-a", 4711, None)
    assert (hierarchy / "insula-a").is_dir() and stat.S_IMODE(hierarchy.stat().st_mode) == 0o711


def test_a_group_goes_with_what_was_made_below_it_and_may_be_gone(hierarchy: Path) -> None:
    (hierarchy / "insula-a/system.slice/a.service").mkdir(parents=True)
    remove_named("insula-a")
    remove_named("insula-a")
    assert list(hierarchy.iterdir()) == []


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EPERM])
def test_where_no_hierarchy_can_be_made_there_is_no_group_to_remove(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_words: object, **_options: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(namedhierarchy, "make_filesystem", refuse)
    if number == errno.EINVAL:
        remove_named("insula-a")
    else:
        with pytest.raises(PermissionError):
            remove_named("insula-a")


def test_a_hierarchy_that_is_being_dropped_is_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    answers = [errno.EBUSY, errno.EBUSY, 0]

    def made(*_words: object, **_options: object) -> int:
        number = answers.pop(0)
        if number:
            raise OSError(number, os.strerror(number))
        return os.open(tmp_path, os.O_PATH)

    monkeypatch.setattr(namedhierarchy, "make_filesystem", made)
    monkeypatch.setattr(namedhierarchy, "_PAUSE", 0.0)
    monkeypatch.setattr(namedhierarchy, "_exists", lambda _name: False)
    (tmp_path / "insula-a").mkdir()
    remove_named("insula-a")
    assert answers == [] and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("others", [0, 1])
def test_an_empty_hierarchy_is_opened_until_it_is_gone_and_one_with_groups_is_left(
    hierarchy: Path, monkeypatch: pytest.MonkeyPatch, others: int
) -> None:
    there = [True, True, True, False]
    monkeypatch.setattr(namedhierarchy, "_PAUSE", 0.0)
    monkeypatch.setattr(namedhierarchy, "_exists", lambda _name: there.pop(0))
    for number in range(others):
        (hierarchy / f"insula-{number}").mkdir()
    remove_named("insula-a")
    assert len(there) == (3 if others else 0)
