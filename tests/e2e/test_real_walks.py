"""A few walks of the simulation over the real kernel: what the model allows there is what happens here."""

import itertools
import os
import random
from pathlib import Path

import pytest

from tests import hosts
from tests.e2e.guests import copy_tree
from tests.e2e.realwalk import RealWalk
from tests.insulad import Insulad
from tests.simulation.steps import BY_NAME, choose
from tests.simulation.walk import UUIDS
from tests.waiting import scaled

pytestmark = [pytest.mark.requires("virsh"), pytest.mark.timeout(scaled(300))]
SEED = int(os.environ.get("INSULA_TEST_SEED", "1"))
WALKS = 60 if hosts.full() else 3
STEPS = 16
NOT_HERE = ("disk is full", "disk is broken", "disk is read-only", "no descriptors", "disk is sound", "operations fail",
    "the kernel refuses", "a keeper refuses", "guest holds the freezer", "a moment", "start bound", "create bound",
    "client hangs up", "host reboots", "exec", "program returns", "program crashes", "program is killed",
    "attach", "detach", "console", "console to type at", "console by force", "type", "viewers leave",
    "guest prints")  # fmt: skip


@pytest.mark.parametrize("seed", range(SEED, SEED + WALKS))
def test_what_the_simulation_promises_the_kernel_keeps(
    insulad: Insulad, busybox_root: Path, scratch: Path, seed: int
) -> None:
    roots = {name: copy_tree(busybox_root, scratch / f"root-{name}") for name in UUIDS}
    walk, chance = RealWalk(insulad, roots, seed, print), random.Random(seed)
    for name in ("define", "start"):
        BY_NAME[name].take(walk, "web")
    chosen = ((step, name) for step, name, _ in iter(lambda: choose(chance), None) if step.name not in NOT_HERE)
    for step, name in itertools.islice(chosen, STEPS):
        print(f"-- {step.name}")
        step.take(walk, name)
    walk.rest()
