"""Statistics of many domains come under libvirt's names, in one pass."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from insula.engine.interfaceperformer import ConnectedInterface
from insula.errors import InvalidArgumentError
from insula.kernel.cgroups.stats import Pressure, Stall
from insula.model.numbers import ListDomains, ParameterType, StatsTypes
from insula.network.counters import InterfaceStatistics
from insula.service import bulkstats, statistics
from insula.service.disks import DiskSize
from insula.service.parameters import Value
from insula.testing.fakegroups import FakeCpuTime, FakeGroup, FakeIo, FakeMemory
from tests.unit.service.fakes import MAIL, WEB, Rig, domain_xml

pytestmark = pytest.mark.asyncio
COUNTERS = InterfaceStatistics(
    received_bytes=1,
    received_packets=2,
    received_errors=3,
    received_drops=4,
    sent_bytes=5,
    sent_packets=6,
    sent_errors=7,
    sent_drops=8,
)


DISKS = """<devices>
    <disk type='block'><source dev='/dev/sdz'/><target dev='vda'/></disk>
    <disk type='block'><source dev='/dev/gone'/><target dev='vdb'/></disk>"""


def device_number(path: str) -> tuple[int, int]:
    if path == "/dev/sdz":
        return 8, 16
    raise InvalidArgumentError("gone")


async def two(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Value]]:
    """web runs with one interface, mail is off; everything about both."""
    asked: list[list[int]] = []

    def counters(kernel: object, indices: list[int]) -> dict[int, InterfaceStatistics]:
        asked.append(indices)
        return {9: COUNTERS}

    monkeypatch.setattr(bulkstats, "counters_of", counters)
    rig.engine.connected = (
        ConnectedInterface(guest="eth0", host="vnet0", host_index=9, bridge="b", mac="52:54:00:00:00:01"),
    )
    monkeypatch.setattr(statistics, "device_number", device_number)
    await rig.domains.create_xml(domain_xml().replace("<devices>", DISKS))
    await rig.domains.define(domain_xml("mail", MAIL))
    stats = rig.domains.all_stats(None, StatsTypes.ALL)
    assert asked == [[9]]
    return {ref.name: {each.name: each.value for each in parameters} for ref, parameters in stats}


async def test_a_running_domain_has_every_key_that_makes_sense(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    web = (await two(rig, monkeypatch))["web"]

    assert (web["state.state"], web["state.reason"]) == (1, 1)
    assert (web["cpu.time"], web["cpu.user"], web["cpu.system"]) == (3000, 2000, 1000)
    assert (web["balloon.current"], web["balloon.maximum"], web["balloon.rss"]) == (65536, 65536, 20480)
    assert (web["vcpu.current"], web["vcpu.maximum"], web["vcpu.1.state"]) == (2, 2, 1)
    assert web["net.count"] == 1
    assert web["net.0.name"] == "vnet0"
    assert [web[f"net.0.{way}.{what}"] for way in ("rx", "tx") for what in ("bytes", "pkts", "errs", "drop")] == [
        1, 2, 3, 4, 5, 6, 7, 8,
    ]  # fmt: skip
    assert web["block.count"] == 2
    assert (web["block.0.name"], web["block.0.path"]) == ("vda", "/dev/sdz")
    keys = ("rd.reqs", "rd.bytes", "wr.reqs", "wr.bytes")
    assert [web[f"block.0.{key}"] for key in keys] == [10, 100, 20, 200]
    assert [web[f"block.1.{key}"] for key in keys] == [0, 0, 0, 0]


async def test_a_domain_that_is_off_tells_what_it_would_have(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    mail = (await two(rig, monkeypatch))["mail"]

    assert mail == {
        "state.state": 5,
        "state.reason": 0,
        "balloon.current": 65536,
        "balloon.maximum": 65536,
        "vcpu.current": 2,
        "vcpu.maximum": 2,
    }


async def test_groups_filters_and_names_restrict_what_is_told(rig: Rig) -> None:
    web = await rig.domains.create_xml(domain_xml())
    await rig.domains.define(domain_xml("mail", MAIL))
    active = rig.domains.all_stats(None, StatsTypes.STATE, ListDomains.ACTIVE)
    named = rig.domains.all_stats([web], StatsTypes.VCPU | StatsTypes.STATE)

    assert [(ref.name, [each.name for each in found]) for ref, found in active] == [
        ("web", ["state.state", "state.reason"])
    ]
    assert {each.name.partition(".")[0] for each in named[0][1]} == {"state", "vcpu"}


async def test_sizes_of_disks_are_those_that_were_found(rig: Rig) -> None:
    await rig.domains.create_xml(domain_xml().replace("<devices>", DISKS))
    managed = rig.domains.services.domains.by_uuid(WEB)
    sizes = {"/dev/sdz": DiskSize(allocation=1, capacity=3, physical=2)}
    ((_, told),) = bulkstats.all_stats([managed], StatsTypes.BLOCK, bulkstats.Gathered(sizes=sizes))
    values = {each.name: each.value for each in told}

    assert bulkstats.disks_in([managed], StatsTypes.ALL) == ["/dev/sdz", "/dev/gone"]
    assert bulkstats.disks_in([managed], StatsTypes.STATE) == []
    assert [values[f"block.0.{key}"] for key in ("allocation", "capacity", "physical")] == [1, 3, 2]
    assert "block.1.capacity" not in values, "nobody could look at it"


async def test_an_interface_without_an_end_on_the_host_is_counted_inside(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.engine.connected = (
        ConnectedInterface(guest="eth0", guest_index=7, host="", host_index=0, bridge=None, mac="52:54:00:00:00:01"),
    )
    monkeypatch.setattr(bulkstats, "counted_inside", lambda pid, index: COUNTERS if index == 7 else None)
    ((_, told),) = rig.domains.all_stats([await rig.domains.create_xml(domain_xml())], StatsTypes.INTERFACE)
    values = {each.name: each.value for each in told}
    assert (values["net.0.name"], values["net.0.rx.bytes"], values["net.0.tx.drop"]) == ("eth0", 1, 8)


async def test_types_are_those_libvirt_documents(rig: Rig) -> None:
    xml = domain_xml().replace("<devices>", DISKS)
    ((_, parameters),) = rig.domains.all_stats([await rig.domains.create_xml(xml)], StatsTypes.ALL)
    kinds = {each.name: each.kind for each in parameters}

    assert kinds["state.state"] is ParameterType.INT
    assert kinds["cpu.time"] is ParameterType.ULLONG
    assert kinds["vcpu.current"] is ParameterType.UINT
    assert kinds["block.0.name"] is ParameterType.STRING


def counted(read: list[str], name: str, use: Callable[..., Any]) -> Callable[..., Any]:
    def counting(self: Any, **options: Any) -> Any:
        read.append(name)
        return use(self, **options)

    return counting


async def test_only_what_is_asked_for_is_read_of_the_control_group(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    for kind, name in ((FakeMemory, "memory"), (FakeCpuTime, "cpu"), (FakeIo, "io")):
        monkeypatch.setattr(kind, "use", counted(read, name, kind.use))
    web = await rig.domains.create_xml(domain_xml())

    def reads(groups: StatsTypes) -> list[str]:
        read.clear()
        rig.domains.all_stats([web], groups)
        return read[:]

    assert reads(StatsTypes.STATE) == []
    assert reads(StatsTypes.VCPU) == ["cpu"]
    assert reads(StatsTypes.CPU_TOTAL) == ["cpu"]
    assert reads(StatsTypes.BALLOON) == ["memory"]
    assert reads(StatsTypes.BLOCK) == [], "it has no disk"
    assert reads(StatsTypes.CPU_TOTAL | StatsTypes.VCPU) == ["cpu"], "one reading serves both"


REFERENCE = Path("docs/reference/statistics.md").read_text()


async def test_the_reference_has_every_key(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = Pressure(some=Stall(), full=Stall())
    monkeypatch.setattr(FakeGroup, "pressure", lambda _, resource: waits)
    await two(rig, monkeypatch)
    told = [*rig.domains.all_stats(None, StatsTypes.ALL), *rig.domains.all_stats(None, StatsTypes.VM)]
    for key in {each.name for _, parameters in told for each in parameters}:
        written = re.sub(r"^insula\.pressure\.\w+\.\w+\.", "insula.pressure.WHAT.WHOM.", re.sub(r"\.\d+\.", ".N.", key))
        short = written.replace("net.N.tx", "net.N.rx").replace("insula.pressure.WHAT.WHOM.avg", ".avg")
        assert f"`{written}`" in REFERENCE or f"`{short}`" in REFERENCE, key
