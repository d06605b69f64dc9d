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
from tests.testhost import TestHost
from tests.waiting import scaled

pytestmark = [pytest.mark.requires("virsh", "nft", "dnsmasq"), pytest.mark.timeout(scaled(300))]
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
    insulad: Insulad, test_host: TestHost, busybox_root: Path, scratch: Path, seed: int
) -> None:
    roots = {name: copy_tree(busybox_root, scratch / f"root-{name}") for name in UUIDS}
    walk, chance = RealWalk(insulad, test_host, roots, seed, print), random.Random(seed)
    for name in ("define", "start"):
        BY_NAME[name].take(walk, "web")
    chosen = ((step, name) for step, name, _ in iter(lambda: choose(chance), None) if step.name not in NOT_HERE)
    for step, name in itertools.islice(chosen, STEPS):
        print(f"-- {step.name}")
        step.take(walk, name)
    walk.rest()
    for name, uuid in UUIDS.items():
        insulad.virsh("destroy", name, check=False)
        insulad.virsh("undefine", str(uuid), check=False)
    walk.networks.end()


NETWORK_STEPS = (
    "net-create", "create", "dnsmasq is killed", "net-update add", "a bridge is deleted", "all is well",
    "net-define", "daemon is killed soon", "net-update delete", "daemon starts", "all is well", "net-destroy",
    "net-start", "daemon is killed", "a bridge is deleted", "dnsmasq is killed", "daemon starts",
)  # fmt: skip


def test_networks_are_whole_whoever_dies_or_is_deleted_beside_guests(
    insulad: Insulad, test_host: TestHost, busybox_root: Path, scratch: Path
) -> None:
    """Each step in its turn, so that none of them is left to a seed."""
    roots = {name: copy_tree(busybox_root, scratch / f"root-{name}") for name in UUIDS}
    walk = RealWalk(insulad, test_host, roots, SEED, print)
    for name in NETWORK_STEPS:
        print(f"-- {name}")
        BY_NAME[name].take(walk, "web")
    walk.networks.flush_rules()
    walk.rest()
    insulad.virsh("destroy", "web", check=False)
    insulad.virsh("undefine", "web", check=False)
    walk.networks.end()
