"""Whose a process is that crashes."""

import json
import os
import time
import zlib
from pathlib import Path
from typing import Any

import pytest

from insula.engine.dump import crashedguest
from insula.engine.dump.crashedguest import guest_of
from insula.errors import OperationFailedError
from insula.kernel.cgroups import Cgroup, Hierarchies
from insula.kernel.process import start_time

GROUP = "machine.slice/guest.scope"
BOOT = Path("/proc/sys/kernel/random/boot_id")


class Labels:
    """Labels of groups, by path, and where our own process is."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.facts: dict[str, bytes] = {}
        self.path = f"{GROUP}/payload/system.slice/x.service"
        monkeypatch.setattr(crashedguest, "facts_on", lambda group: self.facts.get(group.path))
        monkeypatch.setattr(crashedguest, "groups_of", lambda pid: {"": self.path, "name=systemd": "user.slice"})

    def label(self, path: str = GROUP, **changes: Any) -> None:
        me = os.getpid()
        record = {
            "pid": me,
            "born": start_time(me),
            "boot": BOOT.read_text().strip(),
            "group": GROUP,
            "spec": {"name": "web", "uuid": "1"},
        }
        text = json.dumps({"installation": "/", "record": record | changes})
        self.facts[path] = zlib.compress(text.encode())


@pytest.fixture
def labels(monkeypatch: pytest.MonkeyPatch) -> Labels:
    return Labels(monkeypatch)


def found() -> crashedguest.CrashedGuest | None:
    return guest_of(os.getpid(), Hierarchies(v2="/nowhere"))


def test_a_process_is_of_the_guest_whose_group_is_above_it(labels: Labels) -> None:
    labels.label()
    guest = found()
    assert guest is not None and guest.group == Cgroup(Hierarchies(v2="/nowhere"), GROUP)
    assert (guest.init, guest.spec["name"]) == (os.getpid(), "web")


def test_a_daemon_with_a_namespace_of_control_groups_knows_shorter_paths(labels: Labels) -> None:
    labels.path = f"outer/{labels.path}"
    labels.label(f"outer/{GROUP}")
    guest = found()
    assert guest is not None and guest.group.path == f"outer/{GROUP}"


def test_a_process_of_no_group_of_ours_is_the_hosts(labels: Labels) -> None:
    assert found() is None


@pytest.mark.parametrize(
    "changes", [{"born": 1}, {"boot": "another"}, {"pid": 2**22 + 1}, {"pid": 1}], ids=["born", "boot", "gone", "other"]
)
def test_a_label_of_another_process_is_no_evidence_and_the_host_gets_nothing(
    labels: Labels, changes: dict[str, Any]
) -> None:
    labels.label(**changes)
    with pytest.raises(OperationFailedError, match="it is in the group of 'web', and not in its namespaces"):
        found()


@pytest.mark.parametrize(
    "facts",
    [
        b"",
        b"nonsense",
        zlib.compress(b"[]"),
        zlib.compress(b"{}"),
        zlib.compress(b"[" * 200_000),
        zlib.compress(b"1" * 2**21),
    ],
)
def test_a_label_that_makes_no_sense_keeps_the_core_from_the_host(labels: Labels, facts: bytes) -> None:
    labels.facts[GROUP] = facts
    with pytest.raises(OperationFailedError, match="makes no sense"):
        found()


def test_a_label_that_is_about_another_group_makes_no_sense(labels: Labels) -> None:
    labels.label(f"{GROUP}/payload")
    with pytest.raises(OperationFailedError, match="makes no sense"):
        found()


def test_without_labels_a_keeper_among_its_ancestors_tells_a_guests_process(
    labels: Labels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crashedguest, "_KEEPER", Path("/proc/self/comm").read_text().strip())
    monkeypatch.setattr(crashedguest, "LABEL_PATIENCE", 0.1)
    with pytest.raises(OperationFailedError, match="a keeper is its ancestor"):
        found()


def test_a_guest_that_begins_is_told_of_in_a_moment(labels: Labels, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crashedguest, "_KEEPER", Path("/proc/self/comm").read_text().strip())
    monkeypatch.setattr(time, "sleep", lambda _: labels.label())
    guest = found()
    assert guest is not None and guest.init == os.getpid()
