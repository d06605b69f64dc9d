"""Tests of insula.engine.launch.emptiedscopes: what systemd leaves goes, what it knows of or removes is its own."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from insula.engine.launch import emptiedscopes
from insula.engine.launch.emptiedscopes import EmptiedScopes
from insula.kernel.cgroups import Cgroup, Hierarchies
from tests.waiting import until


class Asked:
    """A systemd that is asked to stop units. hears: whether it can be reached."""

    def __init__(self) -> None:
        self.units: list[str] = []
        self.hears = True

    def stop(self, unit: str) -> bool:
        self.units.append(unit)
        return self.hears


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
def emptied(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmptiedScopes]:
    monkeypatch.setattr(emptiedscopes, "_DELAY", 0.05)
    made = EmptiedScopes(asked.stop)
    yield made
    made.close()
    assert not [each for each in threading.enumerate() if each.name == "emptied scopes"]


def scope(root: Path, name: str, populated: int = 0) -> Cgroup:
    """A scope's group, as far as a directory can be one: a control group's files do not keep it from being removed."""
    (root / "machine.slice" / name).mkdir(parents=True)
    group = Cgroup(Hierarchies(v2=str(root)), f"machine.slice/{name}")
    events = root / "machine.slice" / name / "cgroup.events"
    events.write_text(f"populated {populated}\nfrozen 0\n")
    return group


@pytest.fixture(autouse=True)
def removed_with_its_files(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Cgroup.remove

    def remove(group: Cgroup, seconds: float, *, above_too: bool) -> None:
        for directory in group.directories:
            Path(directory, "cgroup.events").unlink(missing_ok=True)
        real(group, seconds, above_too=above_too)

    monkeypatch.setattr(Cgroup, "remove", remove)


def test_what_is_left_is_removed_once_systemd_has_been_asked(
    emptied: EmptiedScopes, asked: Asked, tmp_path: Path
) -> None:
    left = scope(tmp_path, "left.scope")
    (tmp_path / "machine.slice/left.scope/placeholder").mkdir()
    emptied.add(left)
    until(lambda: not left.exists(), "the end of what was left")
    assert asked.units == ["left.scope"]
    assert (tmp_path / "machine.slice").is_dir()


def test_what_systemd_has_removed_is_nobodys_business(emptied: EmptiedScopes, asked: Asked, tmp_path: Path) -> None:
    gone = scope(tmp_path, "gone.scope")
    gone.remove(0, above_too=False)
    emptied.add(gone)
    emptied.close()
    assert asked.units == []


def test_what_somebody_is_in_stays(emptied: EmptiedScopes, asked: Asked, tmp_path: Path) -> None:
    taken = scope(tmp_path, "taken.scope", populated=1)
    emptied.add(taken)
    emptied.close()
    assert taken.exists() and asked.units == []


def test_what_a_systemd_may_know_of_that_cannot_be_asked_stays(
    emptied: EmptiedScopes, asked: Asked, tmp_path: Path
) -> None:
    asked.hears = False
    left = scope(tmp_path, "left.scope")
    emptied.add(left)
    emptied.close()
    assert left.exists() and asked.units == ["left.scope"]


def test_the_end_waits_for_all_of_them_and_more_may_come_afterwards(
    emptied: EmptiedScopes, asked: Asked, tmp_path: Path
) -> None:
    groups = [scope(tmp_path, f"{number}.scope") for number in range(5)]
    for each in groups:
        emptied.add(each)
    emptied.close()
    assert not any(each.exists() for each in groups)
    another = scope(tmp_path, "another.scope")
    emptied.add(another)
    until(lambda: not another.exists(), "the end of another")
    assert len(asked.units) == 6
