"""A guest's record on its control group is found again, if it fits the process that it tells of."""

import os
import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from insula.engine.launch import guestlabels
from insula.engine.launch.guestlabels import guest_labels, label_guest, launch_of, lives
from insula.engine.launch.runningcontainer import ContainerRecord
from insula.kernel.cgroups import Cgroup, Hierarchies, set_facts
from insula.kernel.cgroups import labels as notes
from tests.unit.engine.desk import record_of

GROUP = "machine.slice/machine-lxc\\x2d1\\x2dweb.scope"


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cgroup:
    monkeypatch.setattr(notes, "_FACTS", "user.insula.test")  # the tests of the kernel's own are system tests
    monkeypatch.setattr(guestlabels, "groups_of", lambda pid: {"": f"{GROUP}/payload"})
    found = Cgroup(Hierarchies(v2=str(tmp_path)), GROUP)
    (tmp_path / GROUP / "payload" / "system.slice").mkdir(parents=True)
    (tmp_path / "system.slice" / "ssh.service").mkdir(parents=True)
    return found


@pytest.fixture
def record() -> ContainerRecord:
    return replace(record_of(os.getpid()), group=GROUP, launch="a1")


def living(group: Cgroup, installation: str) -> list[ContainerRecord]:
    found = guest_labels(group.hierarchies, installation).living
    assert all(ContainerRecord.decode(dict(each.data)) == each.record for each in found)
    return [each.record for each in found]


def relics(group: Cgroup, installation: str) -> list[ContainerRecord]:
    return [each.record for each in guest_labels(group.hierarchies, installation).relics]


def test_a_label_is_found_by_its_own_installation_alone(group: Cgroup, record: ContainerRecord) -> None:
    label_guest(group, record, "/")
    assert living(group, "/") == [record]
    assert living(group, "/other") == []
    assert launch_of(group) == "a1"


def test_a_label_of_a_process_that_is_no_more_or_lives_elsewhere_does_not_count(
    group: Cgroup, record: ContainerRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    label_guest(group, replace(record, born=record.born + 1), "/")
    assert living(group, "/") == []
    label_guest(group, record, "/")
    monkeypatch.setattr(guestlabels, "groups_of", lambda pid: {"": f"{GROUP}x", "memory": ""})
    assert living(group, "/") == []


def test_a_label_of_a_guest_that_has_ended_is_a_relic_of_its_own_installation_alone(
    group: Cgroup, record: ContainerRecord
) -> None:
    ended = replace(record, born=record.born + 1)
    label_guest(group, ended, "/")
    assert relics(group, "/") == [ended]
    assert relics(group, "/other") == []
    label_guest(group, record, "/")
    assert relics(group, "/") == []


@pytest.mark.parametrize(
    "facts", [b"", b"nonsense", zlib.compress(b"[]"), zlib.compress(b'{"installation": "/", "record": {"pid": "x"}}')]
)
def test_a_label_that_makes_no_sense_is_none(group: Cgroup, facts: bytes) -> None:
    set_facts(group, facts)
    assert living(group, "/") == []
    assert launch_of(group) is None


def test_a_label_moved_to_another_group_is_none(group: Cgroup, record: ContainerRecord, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    label_guest(Cgroup(group.hierarchies, "other"), record, "/")
    assert living(group, "/") == []


def test_where_the_kernel_keeps_nothing_there_is_no_label_and_no_failure(
    group: Cgroup, record: ContainerRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notes, "_FACTS", "nonsense.insula")
    label_guest(group, record, "/")
    assert living(group, "/") == []


def test_an_init_lives_in_its_own_boot_and_from_its_own_birth(record: ContainerRecord) -> None:
    assert lives(record)
    assert not lives(replace(record, born=1))
    assert not lives(replace(record, boot="another"))
    assert not lives(replace(record, pid=2**22 + 1))
