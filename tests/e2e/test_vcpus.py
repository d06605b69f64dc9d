"""Virtual processors are processors of the host: what programs inside count is what clients are told."""

import os
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.e2e.guests import domain_xml, inside, insula
from tests.insulad import Insulad
from tests.waiting import until

pytestmark = [
    pytest.mark.requires("virsh", "overlay.idmapped", "two-processors"),
]
HOST = len(os.sched_getaffinity(0))


def define(insulad: Insulad, root: Path, name: str = "web", vcpu: str = "<vcpu>1</vcpu>", settings: str = "") -> str:
    xml = domain_xml(name, root, settings=settings)
    insulad.define(xml.replace("<os>", f"{vcpu}<os>"))
    return name


def start(insulad: Insulad, root: Path, name: str = "web", vcpu: str = "<vcpu>1</vcpu>") -> str:
    insulad.virsh("start", define(insulad, root, name, vcpu))
    return name


def counted(insulad: Insulad, name: str = "web") -> tuple[int, frozenset[int]]:
    """Return how many processors nproc counts inside, and which of the host's they are."""
    told = inside(insulad, name, "sh", "-c", "nproc; grep Cpus_allowed_list /proc/self/status")
    number, allowed = told.splitlines()
    cpus: set[int] = set()
    for each in allowed.split(":")[1].strip().split(","):
        first, _, last = each.partition("-")
        cpus |= set(range(int(first), int(last or first) + 1))
    return int(number), frozenset(cpus)


def counts(insulad: Insulad, name: str = "web") -> dict[str, str]:
    """Return what vcpucount tells, by kind and where."""
    lines = insulad.virsh("vcpucount", name).stdout.split("\n")
    return {" ".join(line.split()[:2]): line.split()[2] for line in lines if line.strip()}


def refused(insulad: Insulad, *words: str) -> str:
    done = insulad.virsh(*words, check=False)
    assert done.returncode != 0
    return done.stderr


@pytest.mark.machine("cgroups")
def test_a_guest_counts_as_many_processors_as_it_has_virtual_ones(insulad: Insulad, busybox_root: Path) -> None:
    start(insulad, busybox_root, vcpu=f"<vcpu current='1'>{HOST}</vcpu>")
    number, cpus = counted(insulad)
    assert (number, len(cpus)) == (1, 1)
    assert inside(insulad, "web", "taskset", "ffff", "nproc").strip() == "1", "whatever it asks for itself"
    assert counts(insulad) == {
        "maximum config": str(HOST), "maximum live": str(HOST), "current config": "1", "current live": "1",
    }  # fmt: skip
    assert insulad.virsh("vcpucount", "web", "--guest").stdout.strip() == "1"
    (cpu,) = cpus
    told = insulad.virsh("vcpuinfo", "web").stdout
    assert re.findall(r"^CPU: +(\d+)$", told, re.MULTILINE) == [str(cpu)]
    assert re.search(rf"CPU Affinity: +{'-' * cpu}y-*$", told, re.MULTILINE)
    stats = insulad.virsh("domstats", "--vcpu", "web").stdout
    assert re.search(r"vcpu\.0\.state=1\s+vcpu\.0\.time=[1-9]", stats) and "vcpu.1" not in stats


def test_processors_come_and_go_while_it_runs_and_with_the_next_start(insulad: Insulad, busybox_root: Path) -> None:
    start(insulad, busybox_root, vcpu=f"<vcpu current='1'>{HOST}</vcpu>")
    insulad.virsh("setvcpus", "web", str(HOST), "--live")
    assert counted(insulad)[0] == HOST
    assert counts(insulad)["current config"] == "1"
    assert "greater than max allowable" in refused(insulad, "setvcpus", "web", str(HOST + 1), "--live")
    assert "can't be modified" in refused(insulad, "setvcpus", "web", "1", "--maximum", "--config", "--live")
    insulad.virsh("setvcpus", "web", "1", "--guest")
    assert counted(insulad)[0] == 1
    insulad.virsh("setvcpus", "web", str(HOST), "--config")
    insulad.virsh("destroy", "web")
    insulad.virsh("start", "web")
    assert counted(insulad)[0] == HOST
    insulad.virsh("setvcpus", "web", "1", "--maximum", "--config")
    assert counts(insulad)["maximum config"] == "1" and counts(insulad)["maximum live"] == str(HOST)


def test_single_processors_are_taken_out_and_put_back(insulad: Insulad, busybox_root: Path) -> None:
    start(insulad, busybox_root, vcpu=f"<vcpu>{HOST}</vcpu>")
    insulad.virsh("guestvcpus", "web", "--disable", "--cpulist", "1")
    assert counted(insulad)[0] == HOST - 1
    told = dict(re.findall(r"^(\w+) *: (\S*)$", insulad.virsh("guestvcpus", "web").stdout, re.MULTILINE))
    assert told["vcpus"] == f"0-{HOST - 1}" and "1" not in re.split("[-,]", told["online"])
    insulad.virsh("setvcpu", "web", "1", "--enable", "--live")
    assert counted(insulad)[0] == HOST
    assert "can't be modified" in refused(insulad, "setvcpu", "web", "0", "--disable", "--live")
    if HOST > 2:
        insulad.virsh("setvcpu", "web", "1", "--disable", "--config")
        domain = ET.fromstring(insulad.virsh("dumpxml", "--inactive", "web").stdout)
        assert [each.get("enabled") for each in domain.iterfind("vcpus/vcpu")][:3] == ["yes", "no", "yes"]


def test_a_pinned_processor_is_where_it_is_pinned_to_and_can_be_pinned_elsewhere(
    insulad: Insulad, busybox_root: Path
) -> None:
    first, second = sorted(os.sched_getaffinity(0))[:2]
    start(insulad, busybox_root, vcpu=f"<vcpu cpuset='{second}'>1</vcpu>")
    assert counted(insulad) == (1, frozenset({second}))
    insulad.virsh("vcpupin", "web", "0", str(first), "--live", "--config")
    assert counted(insulad) == (1, frozenset({first}))
    assert re.search(rf"^ 0 +{first}$", insulad.virsh("vcpupin", "web").stdout, re.MULTILINE)
    insulad.virsh("emulatorpin", "web", str(second), "--live")
    assert re.search(rf"\*: +{second}$", insulad.virsh("emulatorpin", "web").stdout, re.MULTILINE)
    assert "out of range" in refused(insulad, "vcpupin", "web", "7", str(first))


@pytest.mark.machine("cgroups")
def test_guests_share_the_processors_evenly_and_move_when_one_has_gone(insulad: Insulad, busybox_root: Path) -> None:
    names = [start(insulad, busybox_root, f"guest{number}") for number in range(4)]
    places = {name: counted(insulad, name)[1] for name in names}
    assert sorted(map(len, places.values())) == [1] * 4
    if HOST != 2:
        return
    first = places[names[0]]
    stay = [name for name in names if places[name] == first]
    assert len(stay) == 2
    for name in stay:
        insulad.virsh("destroy", name)
    others = [name for name in names if name not in stay]
    until(
        lambda: frozenset().union(*(counted(insulad, name)[1] for name in others)) != places[others[0]],
        "one of both being moved to the processor that became free",
    )


def test_a_daemon_that_dies_leaves_everybody_where_they_are(insulad: Insulad, busybox_root: Path) -> None:
    names = [start(insulad, busybox_root, f"guest{number}") for number in range(2)]
    before = {name: counted(insulad, name) for name in names}
    insulad.kill()
    insulad.start()
    assert {name: counted(insulad, name) for name in names} == before
    insulad.virsh("vcpupin", "guest0", "0", str(min(before["guest1"][1])), "--live")
    until(lambda: counted(insulad, "guest1")[1] != before["guest1"][1], "the other making room, if there is any")


def test_the_number_is_only_told_where_that_is_wanted(insulad: Insulad, busybox_root: Path) -> None:
    define(insulad, busybox_root, settings="<insula:vcpus confine='no'/>")
    insulad.virsh("start", "web")
    assert counted(insulad)[0] == HOST
    assert counts(insulad)["current live"] == "1"


def test_who_names_no_number_has_all_and_is_told_so(insulad: Insulad, busybox_root: Path) -> None:
    define(insulad, busybox_root, vcpu="")
    assert counts(insulad)["maximum config"] == insulad.virsh("maxvcpus").stdout.strip()
    insulad.virsh("start", "web")
    assert counted(insulad)[0] == HOST


def test_what_cannot_be_had_is_told(insulad: Insulad, busybox_root: Path) -> None:
    start(insulad, busybox_root, vcpu="<vcpu>500</vcpu>")
    assert f"500 virtual processors in use and only {HOST}" in insula(insulad, "info", "web").stdout
    assert insulad.virsh("vcpucount", "web", "--guest").stdout.strip() == str(HOST)
    define(insulad, busybox_root, "far", "<vcpu cpuset='16000'>1</vcpu>")
    assert "pinned to processors that are offline" in refused(insulad, "start", "far")


def test_the_command_line_sets_the_number(insulad: Insulad, busybox_root: Path) -> None:
    start(insulad, busybox_root, vcpu=f"<vcpu>{HOST}</vcpu>")
    insula(insulad, "set", "web", "--vcpus", "1")
    assert counted(insulad)[0] == 1 and counts(insulad)["current config"] == "1"
    assert f"at most {HOST} processors" in insula(insulad, "set", "web", "--vcpus", "99", check=False).stderr
    insula(insulad, "set", "web", "--vcpus", "99", "--config")
    assert counts(insulad)["maximum config"] == counts(insulad)["current config"] == "99"
