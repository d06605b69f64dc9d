"""A guest's record on its control group is found again, if it fits the process that it tells of."""

import os
import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from insula.engine.launch import guestlabels
from insula.engine.launch.guestlabels import label_guest, labelled_guests, labelled_relics, launch_of, lives
from insula.engine.launch.runningcontainer import ContainerRecord
from insula.kernel.cgroups import Cgroup, Hierarchies, set_facts
from insula.kernel.cgroups import labels as notes
from tests.unit.engine.desk import record_of

GROUP = "machine.slice/machine-lxc\\x2d1\\x2dweb.scope"


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cgroup:
    monkeypatch.setattr(notes, "_FACTS", "user.insula.test")  # the tests of the kernel's own are system tests
    monkeypatch.setattr(guestlabels, "_is_in", lambda pid, group: True)
    found = Cgroup(Hierarchies(v2=str(tmp_path)), GROUP)
    (tmp_path / GROUP / "payload" / "system.slice").mkdir(parents=True)
    (tmp_path / "system.slice" / "ssh.service").mkdir(parents=True)
    return found


@pytest.fixture
def record() -> ContainerRecord:
    return replace(record_of(os.getpid()), group=GROUP, launch="a1")


def test_a_label_is_found_by_its_own_installation_alone(group: Cgroup, record: ContainerRecord) -> None:
    label_guest(group, record, "/")
    assert list(labelled_guests(group.hierarchies, "/")) == [record]
    assert list(labelled_guests(group.hierarchies, "/other")) == []
    assert launch_of(group) == "a1"


def test_a_label_of_a_process_that_is_no_more_or_lives_elsewhere_does_not_count(
    group: Cgroup, record: ContainerRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    label_guest(group, replace(record, born=record.born + 1), "/")
    assert list(labelled_guests(group.hierarchies, "/")) == []
    label_guest(group, record, "/")
    monkeypatch.setattr(guestlabels, "_is_in", lambda pid, group: False)
    assert list(labelled_guests(group.hierarchies, "/")) == []


def test_a_label_of_a_guest_that_has_ended_is_a_relic_of_its_own_installation_alone(
    group: Cgroup, record: ContainerRecord
) -> None:
    ended = replace(record, born=record.born + 1)
    label_guest(group, ended, "/")
    assert list(labelled_relics(group.hierarchies, "/")) == [ended]
    assert list(labelled_relics(group.hierarchies, "/other")) == []
    label_guest(group, record, "/")
    assert list(labelled_relics(group.hierarchies, "/")) == []


@pytest.mark.parametrize(
    "facts", [b"", b"nonsense", zlib.compress(b"[]"), zlib.compress(b'{"installation": "/", "record": {"pid": "x"}}')]
)
def test_a_label_that_makes_no_sense_is_none(group: Cgroup, facts: bytes) -> None:
    set_facts(group, facts)
    assert list(labelled_guests(group.hierarchies, "/")) == []
    assert launch_of(group) is None


def test_a_label_moved_to_another_group_is_none(group: Cgroup, record: ContainerRecord, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    label_guest(Cgroup(group.hierarchies, "other"), record, "/")
    assert list(labelled_guests(group.hierarchies, "/")) == []


def test_where_the_kernel_keeps_nothing_there_is_no_label_and_no_failure(
    group: Cgroup, record: ContainerRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notes, "_FACTS", "nonsense.insula")
    label_guest(group, record, "/")
    assert list(labelled_guests(group.hierarchies, "/")) == []


def test_an_init_lives_in_its_own_boot_and_from_its_own_birth(record: ContainerRecord) -> None:
    assert lives(record)
    assert not lives(replace(record, born=1))
    assert not lives(replace(record, boot="another"))
    assert not lives(replace(record, pid=2**22 + 1))
