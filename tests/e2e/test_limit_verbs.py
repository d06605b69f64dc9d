"""Limits of a guest by the command line and both faces of the client: set, shown, kept over a death, refused."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from insula.errors import InvalidArgumentError, OperationInvalidError
from insula.model.numbers import Affect
from insula.sdk.connecting import connect, connect_async
from tests.e2e.guests import domain_xml, inside, insula
from tests.insulad import Insulad

pytestmark = [pytest.mark.requires("virsh", "overlay.idmapped"), pytest.mark.machine("cgroups")]

WANTED = ("cpu_burst=20000", "vcpu_quota=50000", "pids=77", "soft_limit=48m", "cpu_shares=2048")


@pytest.fixture
def guest(insulad: Insulad, busybox_root: Path) -> str:
    insulad.define(domain_xml("bb", busybox_root))
    insulad.virsh("start", "bb")
    return "bb"


def limits(insulad: Insulad, name: str) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in json.loads(insula(insulad, "limits", name, "--json").stdout)}


def held(insulad: Insulad, name: str) -> dict[str, Any]:
    rows = limits(insulad, name)
    return {word: rows[word]["in_force"] for word in ("cpu_burst", "cpu_quota", "pids", "memory_soft", "cpu_shares")}


def test_limits_are_set_by_name_shown_and_the_same_after_the_daemons_death_and_a_start(
    insulad: Insulad, guest: str
) -> None:
    fresh = held(insulad, guest)
    insula(insulad, "set", guest, *WANTED)
    wanted = {"cpu_burst": 20000, "cpu_quota": 50000, "pids": 77, "memory_soft": 48 << 20, "cpu_shares": 2048}
    assert held(insulad, guest) == wanted
    rows = limits(insulad, guest)
    assert rows["pids"]["configured"] == 77 and 0 < rows["pids"]["used"] < 77
    assert rows["memory"]["used"] > 0 and "oom_kill" in rows["memory"]["events"]
    assert "throttled" in rows["cpu_quota"]["events"]
    table = insula(insulad, "limits", guest).stdout
    assert "20000 us" in table and "zswap" not in table

    insulad.kill()
    insulad.start()
    assert held(insulad, guest) == wanted
    insulad.virsh("destroy", guest)
    assert limits(insulad, guest)["pids"]["configured"] == 77 and limits(insulad, guest)["pids"]["in_force"] is None
    insulad.virsh("start", guest)
    assert held(insulad, guest) == wanted

    none = ("cpu_burst=none", "vcpu_quota=none", "pids=none", "soft_limit=none", "cpu_shares=none")
    insula(insulad, "set", guest, *none)
    assert held(insulad, guest) == fresh


def test_the_live_guest_or_its_definition_alone_is_changed_on_demand(insulad: Insulad, guest: str) -> None:
    insula(insulad, "set", guest, "cpu_idle=yes", "--live")
    assert limits(insulad, guest)["cpu_idle"]["in_force"] is True
    assert "insula:cpu " not in insulad.virsh("dumpxml", "--inactive", guest).stdout
    refused = insula(insulad, "set", guest, "cpu_shares=512", "--live", check=False)
    assert refused.returncode != 0 and "idle" in refused.stderr
    insula(insulad, "set", guest, "cpu_burst=5000", "--config")
    assert limits(insulad, guest)["cpu_burst"]["in_force"] == 0
    assert "burst='5000'" in insulad.virsh("dumpxml", "--inactive", guest).stdout


def test_what_the_host_lacks_is_told_and_refused_and_nothing_is_changed(insulad: Insulad, guest: str) -> None:
    before = insulad.virsh("dumpxml", "--inactive", guest).stdout
    lacking = [name for name, row in limits(insulad, guest).items() if row["lacking"]]
    tried = {"zswap": "zswap_limit=1m", "zswap_writeback": "zswap_writeback=no", "memory_guarantee": "min_guarantee=1m"}
    for setting in [tried[name] for name in lacking if name in tried] or ["hugepages=3072,0"]:
        refused = insula(insulad, "set", guest, setting, check=False)
        assert refused.returncode != 0 and "cannot set the" in refused.stderr, refused
    for wrong in ("cgroup.procs=1", "memory.max=1", "../pids.max=1"):
        assert insula(insulad, "set", guest, wrong, check=False).returncode == 2
    assert insulad.virsh("dumpxml", "--inactive", guest).stdout == before


@pytest.mark.requires("cgroup1.memory")
def test_a_control_file_is_written_at_the_start_and_live_by_both_faces(insulad: Insulad, guest: str) -> None:
    _control_file_by_both_faces(insulad, guest, "memory.swappiness", "7", "9")


@pytest.mark.requires("cgroup2.memory")
def test_a_control_file_of_v2_is_written_at_the_start_and_live_by_both_faces(insulad: Insulad, guest: str) -> None:
    _control_file_by_both_faces(insulad, guest, "memory.oom.group", "1", "1")


def _control_file_by_both_faces(insulad: Insulad, guest: str, key: str, first: str, second: str) -> None:
    both = Affect.LIVE | Affect.CONFIG
    with connect(insulad.layout) as host:
        domain = host.domain(guest)
        fresh = domain.control_file(key)
        domain.set_control_file(key, first, both)
        assert domain.control_file(key) == first
        domain.destroy()
        domain.start()
        assert domain.control_file(key) == first
        with pytest.raises(InvalidArgumentError):
            domain.control_file("../cgroup.procs")
        with pytest.raises(OperationInvalidError):
            domain.control_file("memory.no_such_file")

    async def other_face() -> None:
        async with await connect_async(insulad.layout) as host:
            domain = await host.domain(guest)
            await domain.set_control_file(key, second, both)
            assert await domain.control_file(key) == second
            await domain.set_control_file(key, None, both)
            assert await domain.control_file(key) == fresh
            assert {each["name"] for each in await domain.limits()} >= {"memory", "pids"}

    asyncio.run(other_face())
    assert "insula:cgroup" not in insulad.virsh("dumpxml", "--inactive", guest).stdout


@pytest.mark.requires("numa")
def test_numa_nodes_are_pinned_by_virsh_and_preferred_ones_are_a_policy_of_all_that_runs_inside(
    insulad: Insulad, guest: str
) -> None:
    insulad.virsh("numatune", guest, "--nodeset", "0", "--mode", "0", "--live", "--config")
    assert "numa_nodeset   : 0" in insulad.virsh("numatune", guest).stdout
    refused = insulad.virsh("numatune", guest, "--mode", "2", "--live", check=False)
    assert refused.returncode != 0 and "next start on" in refused.stderr
    missing = insulad.virsh("numatune", guest, "--nodeset", "1000", "--live", check=False)
    assert missing.returncode != 0 and "memory node list" in missing.stderr
    insula(insulad, "set", guest, "numa_mode=interleave", "--config")
    insulad.virsh("destroy", guest)
    insulad.virsh("start", guest)
    for program in ("/proc/1/numa_maps", "/proc/self/numa_maps"):
        assert "interleave:0" in inside(insulad, guest, "head", "-1", program)
    insula(insulad, "set", guest, "numa_mode=strict", "numa_nodeset=none", "--config")
    assert "numatune" not in insulad.virsh("dumpxml", "--inactive", guest).stdout
