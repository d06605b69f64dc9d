"""Processors are told honestly: a container's are no threads."""

import pytest

from insula.errors import OperationInvalidError
from insula.model.numbers import Affect, VcpuState
from insula.service import vcpus
from insula.service.events import DomainIdentity
from insula.service.vcpus import VcpuInfo
from tests.unit.service.fakes import MAIL, Rig, domain_xml

pytestmark = pytest.mark.asyncio


TOLD_ONLY = (
    "<metadata><insula:domain xmlns:insula='https://insula.dev/xmlns/domain/1'>"
    "<insula:vcpus confine='no'/></insula:domain></metadata>"
)


async def test_each_processor_is_one_of_the_hosts_with_what_ran_there_and_a_share_of_what_ran_elsewhere(
    rig: Rig,
) -> None:
    """The kernel tells 2500 ns of processor 0, 500 of 1, and nothing of 2, of 3000 in all."""
    ref = await rig.domains.create_xml(domain_xml())

    assert list(rig.domains.vcpus(ref)) == [
        VcpuInfo(number=0, state=VcpuState.RUNNING, cpu_time=2750, cpu=0, affinity=frozenset({0})),
        VcpuInfo(number=1, state=VcpuState.RUNNING, cpu_time=250, cpu=2, affinity=frozenset({2})),
    ]


async def test_processors_beyond_the_hosts_are_offline(rig: Rig) -> None:
    ref = await rig.domains.create_xml(domain_xml().replace("<vcpu>2</vcpu>", "<vcpu cpuset='0-1'>3</vcpu>"))
    told = list(rig.domains.vcpus(ref))

    assert [(each.state, each.cpu, each.cpu_time) for each in told] == [
        (VcpuState.RUNNING, 0, 2500),
        (VcpuState.RUNNING, 1, 500),
        (VcpuState.OFFLINE, -1, 0),
    ]
    assert vcpus.seen_inside(rig.domains.of(ref)) == (0, 1)
    assert {each.name: each.value for each in vcpus.guest_vcpus(rig.domains.of(ref))} == {
        "vcpus": "0-2",
        "online": "0-1",
        "offlinable": "1-2",
    }


async def test_processors_that_are_only_told_share_the_domains_time_and_all_it_may_have(rig: Rig) -> None:
    xml = domain_xml(more=TOLD_ONLY).replace("<vcpu>2</vcpu>", "<vcpu cpuset='0-1'>3</vcpu>")
    ref = await rig.domains.create_xml(xml)
    both = frozenset({0, 1})

    assert list(rig.domains.vcpus(ref)) == [
        VcpuInfo(number=number, state=VcpuState.RUNNING, cpu_time=1000, cpu=cpu, affinity=both)
        for number, cpu in enumerate((0, 1, 0))
    ]
    assert vcpus.seen_inside(rig.domains.of(ref)) == (0, 1, 2)


async def test_an_emulator_would_run_where_it_is_pinned_else_where_the_processors_may_be(rig: Rig) -> None:
    pinned = "<cputune><emulatorpin cpuset='3'/></cputune>"
    web = await rig.domains.define(domain_xml(more=pinned))
    mail = await rig.domains.define(domain_xml("mail", MAIL).replace("<vcpu>", "<vcpu cpuset='1-2'>"))

    def pin(ref: DomainIdentity) -> set[int]:
        return set(vcpus.emulator_pin(rig.domains.of(ref), Affect.CURRENT, frozenset(range(7))))

    assert pin(web) == {3} and pin(mail) == {1, 2}


async def test_counts_and_pins_are_the_definitions(rig: Rig) -> None:
    vcpu = "<vcpu cpuset='1-3' current='1'>2</vcpu>"
    xml = domain_xml(more="<cputune><vcpupin vcpu='1' cpuset='2'/></cputune>").replace("<vcpu>2</vcpu>", vcpu)
    ref = await rig.domains.define(xml)

    assert rig.domains.vcpu_count(ref, Affect.CURRENT) == 1
    assert rig.domains.vcpu_count(ref, Affect.CONFIG, maximum=True) == 2
    assert rig.domains.of(ref).current.vcpu.count == 2
    assert list(rig.domains.vcpu_pins(ref, Affect.CONFIG)) == [frozenset({1, 2, 3}), frozenset({2})]


async def test_without_a_cpuset_every_online_processor_will_do(rig: Rig) -> None:
    ref = await rig.domains.define(domain_xml())

    assert list(rig.domains.vcpu_pins(ref, Affect.CURRENT)) == [frozenset(range(7))] * 2


async def test_what_is_off_has_no_processors_at_work(rig: Rig) -> None:
    ref = await rig.domains.define(domain_xml())
    with pytest.raises(OperationInvalidError, match="not running"):
        rig.domains.vcpus(ref)
    with pytest.raises(OperationInvalidError, match="not running"):
        rig.domains.vcpu_count(ref, Affect.LIVE)
