"""A guest's group in the v1 hierarchy named systemd: handed over where there is one, made where there is none."""

import asyncio
import os
from pathlib import Path
from typing import cast

import pytest

from insula.engine.launch.holdings import NamedGroup
from insula.engine.steps.host import namedgroup
from insula.engine.steps.host.hoststep import HostContext, inline
from insula.engine.steps.host.namedgroup import HandOverNamedGroup, JoinNamedGroup
from insula.kernel.cgroups import Cgroup, Hierarchies, V1Hierarchy

OWNER = (300000, 300001)


class Context:
    """As much of a launch as the steps see."""

    def __init__(self, group: Cgroup | None = None) -> None:
        self.group, self.launch, self.child, self.offload = group, "abc", 4711, inline


def test_the_group_and_what_moves_processes_belong_to_the_guests_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owned: dict[str, tuple[int, int]] = {}
    monkeypatch.setattr(os, "chown", lambda path, uid, gid: owned.update({path: (uid, gid)}))
    hierarchies = Hierarchies(v1=(V1Hierarchy(mount=str(tmp_path), controllers=("name=systemd",)),))
    context = cast("HostContext", Context(Cgroup(hierarchies, "a.scope")))
    assert asyncio.run(HandOverNamedGroup(why="", owner=OWNER).perform(context)) == ()
    group = tmp_path / "a.scope"
    assert owned == {f"{group}/": OWNER, f"{group}/cgroup.procs": OWNER, f"{group}/tasks": OWNER}


def test_the_group_is_named_by_its_launch_and_announced_before(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[object, ...]] = []
    monkeypatch.setattr(namedgroup, "make_named", lambda *arguments: made.append(arguments))
    step = JoinNamedGroup(why="", owner=OWNER)
    assert step.needs_child
    assert step.announce(1) == (NamedGroup(made=False),)
    assert asyncio.run(step.perform(cast("HostContext", Context()))) == (NamedGroup(),)
    assert made == [("insula-abc", 4711, OWNER)]
