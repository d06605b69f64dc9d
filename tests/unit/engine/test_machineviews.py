"""Tests of insula.engine.machineviews."""

import pytest

from insula.engine.machineviews import VIEWED, viewed_guest, viewed_here
from insula.kernel import fuse
from insula.kernel.cgroups import Cgroup, Hierarchies
from tests.unit.engine.fragments.example import SPEC


def test_a_guest_is_described_by_its_group_its_ids_and_its_clocks() -> None:
    group = Cgroup(Hierarchies(v2="/sys/fs/cgroup"), "machine.slice/x.scope")
    said = viewed_guest(
        uuid="u", launch="l", name="n", group=group, pid=7, born=9, idmap=SPEC.idmap, time_offsets=(1, 60)
    )
    assert (said.group, said.pid, said.born, said.boottime) == ("machine.slice/x.scope", 7, 9, 60)
    assert said.root == (300000, 400000)
    privileged = viewed_guest(uuid="u", launch="l", name="n", group=group, pid=7, born=9, idmap=None, time_offsets=None)
    assert (privileged.root, privileged.boottime) == ((0, 0), 0)


def test_a_host_without_fuse_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuse, "DEVICE", "/dev/there-is-none")
    assert viewed_here() == ()


def test_a_host_shows_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuse, "DEVICE", "/dev/null")
    here = viewed_here()
    assert "proc/meminfo" in here
    assert set(here) <= set(VIEWED)
