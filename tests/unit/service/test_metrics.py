"""What is told of domains as metrics: under names that stay, in seconds and bytes, told apart by labels."""

from pathlib import Path

import pytest

from insula.engine.interfaceperformer import ConnectedInterface
from insula.kernel.cgroups.stats import Pressure, Stall
from insula.network.counters import InterfaceStatistics
from insula.service import bulkstats, metrics
from insula.service.disks import DiskSize
from insula.service.metrics import FAMILIES, Kind, MetricFamily, Samples, labelled
from insula.testing.fakegroups import FakeGroup
from tests.unit.service.fakes import MAIL, Rig, domain_xml

pytestmark = pytest.mark.asyncio
DISK = "<devices><disk type='block'><source dev='/dev/sdz'/><target dev='vda'/></disk>"
REFERENCE = Path("docs/reference/statistics.md").read_text()
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


async def two(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Samples:
    """web runs with a card and a disk, mail is off."""
    waits = Pressure(some=Stall(total=1_500_000), full=Stall(total=7))
    monkeypatch.setattr(FakeGroup, "pressure", lambda _, resource: waits)
    rig.engine.connected = (
        ConnectedInterface(guest="eth0", host="vnet7", host_index=9, bridge="b", mac="52:54:00:00:00:01"),
    )
    await rig.domains.create_xml(domain_xml().replace("<devices>", DISK))
    await rig.domains.define(domain_xml("mail", MAIL))
    sizes = {"/dev/sdz": DiskSize(allocation=1, capacity=3, physical=2)}
    domains = list(rig.domains.services.domains)
    samples = Samples()
    gathered = bulkstats.Gathered(counters={9: COUNTERS}, sizes=sizes)
    for managed, (_, told) in zip(domains, bulkstats.all_stats(domains, metrics.GROUPS, gathered), strict=True):
        samples.add(managed, told)
    return samples


def family(name: str) -> MetricFamily:
    return next(each for each in FAMILIES if each.name == f"insula_domain_{name}")


async def test_each_value_is_in_its_unit_and_names_its_domain(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = await two(rig, monkeypatch)
    web = 'domain="web",uuid="00000000-0000-0000-0000-000000000001"'
    assert samples.of(family("cpu_seconds_total")) == [f"insula_domain_cpu_seconds_total{{{web}}} 0.000003000\n"]
    assert samples.of(family("memory_used_bytes")) == [f"insula_domain_memory_used_bytes{{{web}}} {20 << 20}\n"]
    assert samples.of(family("frozen")) == [f"insula_domain_frozen{{{web}}} 0\n"]
    assert [each.split()[-1] for each in samples.of(family("memory_balloon_bytes"))] == [str(64 << 20)] * 2
    assert [each.split()[-1] for each in samples.of(family("state"))] == ["1", "5"]
    assert list(samples.states()) == [("running", 1), ("paused", 0), ("shutoff", 1), ("crashed", 0)]


async def test_cards_disks_and_resources_are_told_apart_by_what_the_guest_calls_them(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = await two(rig, monkeypatch)

    def told(name: str) -> list[str]:
        return [each.partition(',uuid="00000000-0000-0000-0000-000000000001",')[2] for each in samples.of(family(name))]

    assert told("network_received_bytes_total") == ['interface="eth0"} 1\n']
    assert told("network_sent_drops_total") == ['interface="eth0"} 8\n']
    assert told("block_capacity_bytes") == ['device="vda"} 3\n']
    assert told("pressure_waiting_seconds_total") == [
        f'resource="{each}"}} 1.500000\n' for each in ("cpu", "memory", "io")
    ]


async def test_every_family_is_told_of_a_guest_that_has_everything(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = await two(rig, monkeypatch)
    missing = {each.name.removeprefix("insula_domain_") for each in FAMILIES if not samples.of(each)}
    assert missing <= {"memory_peak_bytes", "memory_limit_bytes", "tasks_limit"}, "groups in memory have none of these"


async def test_names_follow_what_prometheus_asks_of_them() -> None:
    assert len({each.name for each in FAMILIES}) == len({each.key for each in FAMILIES}) == len(FAMILIES)
    for each in FAMILIES:
        assert each.name.endswith("_total") == (each.kind is Kind.COUNTER)


async def test_the_reference_has_every_name_and_label() -> None:
    for each in FAMILIES:
        label = f"`{each.label}`" if each.label else ""
        assert f"| `{each.name}` | {label} |" in REFERENCE


async def test_a_label_says_exactly_what_it_was_given() -> None:
    assert labelled(domain='a"b\\c\nd') == 'domain="a\\"b\\\\c\\nd"'
