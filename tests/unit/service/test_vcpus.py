"""Processors are told honestly: a container's are no threads."""

import pytest

from insula.errors import OperationInvalidError
from insula.model.numbers import Affect, VcpuState
from insula.service.vcpus import VcpuInfo
from tests.unit.service.fakes import Rig, domain_xml

pytestmark = pytest.mark.asyncio


async def test_processors_of_a_running_domain_share_its_time_and_its_cpus(rig: Rig) -> None:
    ref = await rig.domains.create_xml(domain_xml())
    both = frozenset({0, 1})

    assert list(rig.domains.vcpus(ref)) == [
        VcpuInfo(number=number, state=VcpuState.RUNNING, cpu_time=1500, cpu=number, affinity=both) for number in (0, 1)
    ]


async def test_each_processor_is_said_to_run_where_it_may(rig: Rig) -> None:
    ref = await rig.domains.create_xml(domain_xml().replace("<vcpu>2</vcpu>", "<vcpu>5</vcpu>"))

    assert [each.cpu for each in rig.domains.vcpus(ref)] == [0, 1, 0, 1, 0]


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
