"""Statistics of many domains come under libvirt's names, in one pass."""

from collections.abc import Callable
from typing import Any

import pytest

from insula.engine.interfaceperformer import ConnectedInterface
from insula.errors import InvalidArgumentError
from insula.model.numbers import ListDomains, ParameterType, StatsTypes
from insula.network.counters import InterfaceStatistics
from insula.service import bulkstats
from insula.service.parameters import Value
from insula.testing.fakegroups import FakeCpuTime, FakeIo, FakeMemory
from tests.unit.service.fakes import MAIL, Rig, domain_xml

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
    monkeypatch.setattr(bulkstats, "device_number", device_number)
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

    assert reads(StatsTypes.STATE | StatsTypes.VCPU) == []
    assert reads(StatsTypes.CPU_TOTAL) == ["cpu"]
    assert reads(StatsTypes.BALLOON) == ["memory"]
    assert reads(StatsTypes.BLOCK) == [], "it has no disk"
