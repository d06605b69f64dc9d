"""Shares and quotas of the processors."""

import pytest

from insula.errors import InvalidArgumentError
from insula.model.numbers import Affect, ParameterType
from insula.service.cputuning import SCHEDULER
from insula.service.events import Tunable
from insula.service.parameters import Parameter
from tests.unit.service.fakes import Rig, domain_xml
from tests.unit.service.limits import BOTH, group, running, values

pytestmark = pytest.mark.asyncio


async def test_the_scheduler_is_posix_with_three_parameters(rig: Rig) -> None:
    ref = await rig.domains.define(domain_xml())
    assert SCHEDULER == "posix"
    assert values(rig.domains.scheduler_parameters(ref, Affect.CURRENT)) == {
        "cpu_shares": 0,
        "vcpu_period": 0,
        "vcpu_quota": 0,
    }


async def test_shares_and_quota_change_live_and_are_told(rig: Rig) -> None:
    ref = await running(rig)
    wanted = [
        Parameter("cpu_shares", ParameterType.ULLONG, 512),
        Parameter("vcpu_period", ParameterType.ULLONG, 50000),
        Parameter("vcpu_quota", ParameterType.LLONG, 25000),
    ]
    await rig.domains.set_scheduler_parameters(ref, wanted, BOTH)

    cpu = group(rig, ref).cpu
    assert (cpu.shares, cpu.quota, cpu.period) == (512, 25000, 50000)
    assert list(rig.domains.scheduler_parameters(ref, Affect.LIVE)) == wanted
    assert list(rig.domains.scheduler_parameters(ref, Affect.CONFIG)) == wanted
    (event,) = rig.told
    assert isinstance(event, Tunable)
    assert [each.name for each in event.parameters] == [
        "cputune.cpu_shares",
        "cputune.vcpu_period",
        "cputune.vcpu_quota",
    ]


async def test_zero_leaves_a_scheduler_value_and_a_negative_quota_takes_it_away(rig: Rig) -> None:
    ref = await running(rig, "<cputune><shares>300</shares><period>50000</period><quota>20000</quota></cputune>")
    await rig.domains.set_scheduler_parameters(
        ref,
        [Parameter("cpu_shares", ParameterType.ULLONG, 0), Parameter("vcpu_quota", ParameterType.LLONG, -7)],
        Affect.CONFIG,
    )

    assert values(rig.domains.scheduler_parameters(ref, Affect.CONFIG)) == {
        "cpu_shares": 300,
        "vcpu_period": 50000,
        "vcpu_quota": -1,
    }
    assert rig.told == []


@pytest.mark.parametrize(
    "parameter",
    [
        Parameter("cpu_shares", ParameterType.ULLONG, 1),
        Parameter("cpu_shares", ParameterType.ULLONG, 262145),
        Parameter("vcpu_period", ParameterType.ULLONG, 999),
        Parameter("vcpu_quota", ParameterType.LLONG, 999),
    ],
)
async def test_scheduler_values_out_of_range_are_refused(rig: Rig, parameter: Parameter) -> None:
    ref = await running(rig)
    with pytest.raises(InvalidArgumentError, match=f"value of '{parameter.name}' is out of range"):
        await rig.domains.set_scheduler_parameters(ref, [parameter], BOTH)
    assert "cputune" not in rig.domains.dump_xml(ref)
