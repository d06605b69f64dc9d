"""What a domain uses is one figure wherever a client asks for it, by the distribution's virsh and libvirt-python."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.guests import domain_xml, inside
from tests.insulad import Insulad
from tests.waiting import until

pytestmark = pytest.mark.requires("virsh", "overlay.idmapped", "userns")

MAC = "52:54:00:12:34:56"
MIB = 1 << 20


@pytest.fixture
def guest(insulad: Insulad, busybox_root: Path, scratch: Path) -> Iterator[str]:
    """One with a card and a disk that is an image; it has used some of everything."""
    (scratch / "disk").write_bytes(bytes(8 * MIB))
    devices = (
        f"<disk type='file' device='disk'><source file='{scratch / 'disk'}'/><target dev='vda'/></disk>"
        f"<interface type='bridge'><source bridge='lan'/><mac address='{MAC}'/></interface>"
    )
    insulad.host.run("ip", "link", "add", "lan", "type", "bridge")
    insulad.define(domain_xml("web", busybox_root, extra=devices).replace("<os>", "<vcpu>1</vcpu><os>"))
    insulad.virsh("start", "web")
    inside(insulad, "web", "sh", "-c", "dd if=/dev/zero of=/dev/vda bs=64k count=64 conv=fsync; cat /dev/vda | wc -c")
    yield "web"
    insulad.virsh("destroy", "web")
    insulad.host.run("ip", "link", "del", "lan")


def stats(insulad: Insulad, *words: str) -> dict[str, str]:
    """Of one domain, by key."""
    lines = insulad.virsh("domstats", *words).stdout.splitlines()
    return dict(line.strip().split("=", 1) for line in lines if "=" in line)


def numbers(text: str) -> dict[str, int]:
    """`name number` lines, whatever else stands in them before or behind."""
    found = re.findall(r"(\w+):?\s+(\d+)(?:\s|$)", text)
    return {name: int(number) for name, number in found}


def processor_time(insulad: Insulad, guest: str) -> dict[str, str]:
    """As told beside the bulk statistics, by their keys, in tenths of a second where no more is told."""
    seconds = dict(re.findall(r"(\w+)\s+([\d.]+) seconds", insulad.virsh("cpu-stats", guest, "--total").stdout))
    info = dict(re.findall(r"(.+?):\s+(.+)", insulad.virsh("dominfo", guest).stdout))
    (vcpu,) = re.findall(r"CPU time:\s+([\d.]+s)", insulad.virsh("vcpuinfo", guest).stdout)
    assert info["CPU(s)"] == "1"
    return {"cpu.time": seconds["cpu_time"], "cpu.user": seconds["user_time"], "cpu.system": seconds["system_time"]} | {
        "vcpu.0.time": vcpu,
        "dominfo": info["CPU time"],
    }


def memory(insulad: Insulad, guest: str) -> dict[str, int]:
    told = numbers(insulad.virsh("dommemstat", guest).stdout)
    names = {"actual": "current"}
    return {f"balloon.{names.get(name, name)}": value for name, value in told.items() if name != "last_update"}


def card(insulad: Insulad, guest: str) -> dict[str, int]:
    told = numbers(insulad.virsh("domifstat", guest, MAC).stdout)
    return {f"net.0.{name.replace('_', '.').replace('packets', 'pkts')}": value for name, value in told.items()}


def disk(insulad: Insulad, guest: str) -> dict[str, int]:
    told = numbers(insulad.virsh("domblkstat", guest, "vda").stdout)
    size = numbers(insulad.virsh("domblkinfo", guest, "vda").stdout)
    assert size["Capacity"] == 8 * MIB
    used = {"rd_req": "rd.reqs", "rd_bytes": "rd.bytes", "wr_req": "wr.reqs", "wr_bytes": "wr.bytes"}
    return {f"block.0.{key}": told[name] for name, key in used.items()} | {
        f"block.0.{name.lower()}": size[name] for name in ("Capacity", "Allocation", "Physical")
    }


@pytest.mark.requires("loop")
def test_all_sources_tell_the_same_of_a_guest_that_stands_still(insulad: Insulad, guest: str) -> None:
    """What the kernel still does for one that does (it writes pages back, the host sends to its card) goes on: so
    they are asked until nothing happens between two answers."""
    insulad.virsh("suspend", guest)
    assert {"state.state": "3", "state.reason": "1"}.items() <= stats(insulad, guest).items()
    for source in (memory, card, disk):

        def agree(source: Callable[[Insulad, str], dict[str, int]] = source) -> bool:
            told = source(insulad, guest)
            return {key: str(value) for key, value in told.items()}.items() <= stats(insulad, guest).items()

        assert len(source(insulad, guest)) >= 7
        until(agree, f"the same {source.__name__} by bulk statistics", 20)

    def same_time() -> bool:
        told, bulk = processor_time(insulad, guest), stats(insulad, guest)
        exact = all(round(float(told[key]) * 1e9) == int(bulk[key]) for key in ("cpu.time", "cpu.user", "cpu.system"))
        return exact and told["vcpu.0.time"] == told["dominfo"] == f"{int(bulk['vcpu.0.time']) / 1e9:.1f}s"

    until(same_time, "the same processor time by bulk statistics", 20)


TOLD = ("--state", "--cpu-total", "--balloon", "--vcpu", "--interface", "--block", "--iothread", "--vm")
REFUSED = ("--perf", "--memory", "--dirtyrate")


def test_every_group_that_means_something_is_told_and_the_others_are_refused_to_who_insists(
    insulad: Insulad, guest: str
) -> None:
    first = ("state", "cpu", "balloon", "vcpu", "net", "block", "iothread", "insula")
    for group, word in zip(TOLD, first, strict=True):
        told = stats(insulad, group, "--enforce", "--nowait", guest)
        assert {key.partition(".")[0] for key in told} == {word}
    for group in REFUSED:
        assert stats(insulad, group, guest) == {}
        result = insulad.virsh("domstats", group, "--enforce", guest, check=False)
        assert result.returncode != 0 and "not supported by this daemon" in result.stderr
    usual = stats(insulad, guest)
    assert {key.partition(".")[0] for key in usual} == {*first} - {"insula"}
    assert "block.0.capacity" not in stats(insulad, "--block", "--nowait", guest), "a disk may be slow to answer"
    assert stats(insulad, "--raw", "--vm", guest)["insula.frozen"] in ("no", "0")


@pytest.mark.machine("cgroups")
def test_what_only_containers_tell_is_what_the_kernel_says(insulad: Insulad, busybox_root: Path) -> None:
    guest = "plain"
    insulad.define(domain_xml(guest, busybox_root))
    insulad.virsh("start", guest)
    insulad.virsh("memtune", guest, "--soft-limit", "200000", "--live")
    before = stats(insulad, "--vm", guest)
    assert int(before["insula.memory.soft_limit"]) == 200000 * 1024
    assert int(before["insula.memory.limit"]) == 512 * MIB
    assert int(before["insula.tasks.current"]) >= 1 and int(before["insula.tasks.limit"]) > 1
    assert before["insula.frozen"] == "no"
    waits = [key for key in before if key.startswith("insula.pressure.cpu.")]
    assert len(waits) == (8 if has_pressure() else 0)
    assert all(re.fullmatch(r"\d+(\.\d+)?", before[key]) for key in waits)

    insulad.virsh("suspend", guest)
    frozen = stats(insulad, "--vm", guest)
    assert frozen["insula.frozen"] == "yes"
    until(
        lambda: (
            int(stats(insulad, "--vm", guest)["insula.memory.usage"]) // 1024 == memory(insulad, guest)["balloon.rss"]
        ),
        "the same memory by both names",
        20,
    )
    assert frozen["insula.begun"] == before["insula.begun"]


def has_pressure() -> bool:
    """Whether this kernel keeps pressure for groups."""
    return bool(list(Path("/sys/fs/cgroup").glob("**/machine-lxc*.scope/cpu.pressure")))


@pytest.mark.requires("libvirt-python")
def test_libvirts_library_hands_over_keys_that_it_does_not_know(insulad: Insulad, guest: str) -> None:
    connection = insulad.connect()
    try:
        vm, every = 1 << 10, 0
        ((_, told),) = connection.getAllDomainStats(vm, 0)
        assert told["insula.begun"] > 0 and told["insula.frozen"] is False
        assert isinstance(told["insula.cpu.set"], str)
        ((domain, usual),) = connection.getAllDomainStats(every, 0)
        assert domain.name() == guest and usual["iothread.count"] == 0
    finally:
        connection.close()
