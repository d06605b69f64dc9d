"""What the daemon does about the memory of all guests together, where its settings ask for it."""

import json
import re
from pathlib import Path

import pytest

from insula.kernel.meminfo import MEMINFO, read_meminfo
from tests.e2e.guests import copy_tree, domain_xml, inside, insula, state
from tests.insulad import Insulad
from tests.waiting import until

pytestmark = pytest.mark.requires("virsh")
MIB = 1 << 20
KEPT = 120 * MIB
FILLED = 160 * MIB


def begun_with(insulad: Insulad, settings: str) -> None:
    """Have the daemon begin anew with these settings of memory."""
    (insulad.layout.settings).write_text(f"log_level = 'debug'\n[memory]\n{settings}\n")
    insulad.restart()


def started(insulad: Insulad, name: str, root: Path, *, guarantee: int = 0, check: bool = True) -> str:
    """Start a guest that is guaranteed so many bytes; return what virsh says against it."""
    promise = f"<memtune><min_guarantee unit='b'>{guarantee}</min_guarantee></memtune>" if guarantee else ""
    insulad.define(domain_xml(name, root, memory=512).replace("<os>", f"{promise}<os>"))
    return insulad.virsh("start", name, check=check).stderr


def figure(insulad: Insulad, name: str, key: str) -> int:
    found = re.search(rf"insula\.memory\.{key}=(\d+)", insulad.virsh("domstats", "--vm", name).stdout)
    assert found is not None
    return int(found[1])


def fill_caches(insulad: Insulad, name: str) -> None:
    inside(insulad, name, "sh", "-c", f"dd if=/dev/zero of=/root/large bs=1M count={FILLED // MIB} 2>/dev/null; sync")


@pytest.mark.requires("cgroup2.memory")
@pytest.mark.timeout(240)
def test_guests_of_a_short_host_give_what_they_do_not_need_and_keep_what_is_guaranteed(
    insulad: Insulad, busybox_root: Path, scratch: Path
) -> None:
    begun_with(insulad, "idle_reclaim = true\nhost_free_below = 100\ninterval = 1")
    (scratch / "other").mkdir()
    other = copy_tree(busybox_root, scratch / "other")
    started(insulad, "gives", busybox_root)
    started(insulad, "keeps", other, guarantee=KEPT)
    for name in ("gives", "keeps"):
        fill_caches(insulad, name)

    until(lambda: figure(insulad, "gives", "reclaimed") > 24 * MIB, "memory being taken", 60)
    assert figure(insulad, "gives", "usage") < FILLED, "it had so much, of which it may have given some at once"
    until(lambda: figure(insulad, "keeps", "reclaimed") > 0, "memory being taken from the other", 60)
    assert figure(insulad, "keeps", "usage") >= KEPT
    assert "idle memory taken:" in re.sub(" +", " ", insula(insulad, "info", "gives").stdout)
    for name in ("gives", "keeps"):
        assert state(insulad, name) == "running" and figure(insulad, name, "oom_kills") == 0
    assert "domain 'gives'" in insulad.log_text() and "of idle memory were taken" in insulad.log_text()

    insulad.layout.settings.unlink()
    insulad.restart()
    assert figure(insulad, "gives", "reclaimed") == 0  # by this daemon, which takes nothing


@pytest.mark.machine("cgroups")
def test_no_more_is_guaranteed_to_guests_than_the_host_has(insulad: Insulad, busybox_root: Path) -> None:
    spare = 300
    reserve = read_meminfo(MEMINFO)["MemTotal"] // 1024 - spare
    begun_with(insulad, f"guarantees = true\nhost_reserve = {reserve}")
    refusal = started(insulad, "large", busybox_root, guarantee=(spare + 10) * MIB, check=False)
    assert re.search(r"'large' is to be guaranteed \d+ KiB of memory, and the host has \d+ KiB left", refusal), refusal
    assert state(insulad, "large") == "shut off"
    told = json.loads(insula(insulad, "info", "large", "--json").stdout)
    assert "left for that" in told["start_failure"]["text"]


@pytest.mark.requires("cgroup2.memory")
def test_what_one_guest_is_guaranteed_no_other_is(insulad: Insulad, busybox_root: Path, scratch: Path) -> None:
    reserve = read_meminfo(MEMINFO)["MemTotal"] // 1024 - 300
    begun_with(insulad, f"guarantees = true\nhost_reserve = {reserve}")
    (scratch / "other").mkdir()
    other = copy_tree(busybox_root, scratch / "other")
    started(insulad, "first", busybox_root, guarantee=200 * MIB)
    assert "left for that" in started(insulad, "second", other, guarantee=200 * MIB, check=False)
    started(insulad, "third", other, guarantee=50 * MIB)
    insulad.restart()
    raised = insulad.virsh("memtune", "third", "--min-guarantee", str(200 << 10), "--live", check=False)
    assert "lower min_guarantee" in raised.stderr
    assert figure(insulad, "third", "guarantee") == 50 * MIB
    insulad.virsh("destroy", "first")
    insulad.virsh("memtune", "third", "--min-guarantee", str(200 << 10), "--live")
    assert figure(insulad, "third", "guarantee") == 200 * MIB


@pytest.mark.requires("cgroup1.memory")
def test_a_host_of_v1_says_that_it_cannot(insulad: Insulad, busybox_root: Path) -> None:
    begun_with(insulad, "idle_reclaim = true\nhost_free_below = 100\ninterval = 1")
    until(lambda: "idle_reclaim does nothing" in insulad.log_text(), "the daemon saying so")
    assert "cgroup v1 has nothing like it" in insulad.log_text()
    started(insulad, "mem", busybox_root)
    assert figure(insulad, "mem", "reclaimed") == 0
    insulad.virsh("destroy", "mem")
    assert "cannot guarantee memory" in started(insulad, "promised", busybox_root, guarantee=MIB, check=False)
