"""The group of a guest's helpers: beside the guest's, held where no scope of systemd's ends it."""

import os
from contextlib import suppress
from pathlib import Path

from insula.engine.steps.host.helpergroups import group_beside, helper_place, in_scope
from insula.kernel.cgroups import Cgroup, Hierarchies

SCOPED = "machine.slice/machine-lxc\\x2d1\\x2dweb.scope/insula"
OWN = "machine.slice/machine-lxc\\x2d1\\x2dweb.scope"


def test_it_is_in_the_guests_scope_or_beside_its_group() -> None:
    assert in_scope(SCOPED)
    assert not in_scope(OWN)
    assert group_beside(SCOPED) == f"{OWN}/helpers"
    assert group_beside(OWN) == f"{OWN}.helpers"


def test_it_is_made_for_the_first_helper_and_used_by_the_next(tmp_path: Path) -> None:
    hierarchies = Hierarchies(v1=(), v2=str(tmp_path), v2_controllers=(), delegate=())
    place = helper_place(Cgroup(hierarchies, OWN), "a launch")
    assert place.launch == "a launch"
    beside = tmp_path / group_beside(OWN)
    assert not beside.exists()
    for _ in range(2):
        with suppress(OSError):  # a plain directory takes no process
            place.enter(os.getpid())
        assert (beside / "payload").is_dir()
