"""Limits of interfaces: asked for and changed by libvirt's names, in the run and in the definition."""

import pytest

from insula.engine.interfacespec import TrafficLimits, TrafficRate, VethInterface
from insula.errors import ArgumentUnsupportedError, InvalidArgumentError, UnsupportedConfigError
from insula.model.numbers import Affect, ParameterType
from insula.service.events import DomainIdentity
from insula.service.parameters import Parameter
from tests.unit.service.fakes import Rig, domain_xml
from tests.unit.service.limits import BOTH

pytestmark = pytest.mark.asyncio

MAC = "52:54:00:11:22:33"
CARD = f"<interface type='bridge'><mac address='{MAC}'/><source bridge='br0'/></interface>"


def uint(name: str, value: int) -> Parameter:
    return Parameter(name, ParameterType.UINT, value)


async def started(rig: Rig) -> DomainIdentity:
    ref = await rig.domains.start(await rig.domains.define(domain_xml()))
    await rig.domains.attach_device(ref, CARD, BOTH)
    return ref


def told(rig: Rig, ref: DomainIdentity, device: str, affect: Affect) -> dict[str, object]:
    listed = rig.domains.services.interface_tuning.parameters(rig.domains.of(ref), device, affect)
    return {each.name: each.value for each in listed if each.value}


async def put(rig: Rig, ref: DomainIdentity, device: str, affect: Affect, *parameters: Parameter) -> None:
    await rig.domains.services.interface_tuning.set_parameters(rig.domains.of(ref), device, parameters, affect)


def limits(rig: Rig, ref: DomainIdentity) -> TrafficLimits | None:
    (found,) = rig.domains.of(ref).require_run().container.record.spec.interfaces
    assert isinstance(found, VethInterface)
    return found.port.limits


@pytest.mark.parametrize("device", ["vnet0", MAC, "eth0"])
async def test_a_card_is_limited_by_any_of_its_names(rig: Rig, device: str) -> None:
    ref = await started(rig)
    assert told(rig, ref, device, Affect.LIVE) == {}
    await put(rig, ref, device, BOTH, uint("inbound.average", 100), uint("inbound.burst", 2))
    assert limits(rig, ref) == TrafficLimits(inbound=TrafficRate(average=100_000, burst=2048))
    for affect in (Affect.LIVE, Affect.CONFIG):
        assert told(rig, ref, device, affect) == {"inbound.average": 100, "inbound.burst": 2}


async def test_the_other_direction_stays_and_none_takes_a_limit_away(rig: Rig) -> None:
    ref = await started(rig)
    await put(rig, ref, MAC, Affect.LIVE, uint("inbound.average", 100), uint("outbound.average", 50))
    await put(rig, ref, MAC, Affect.LIVE, uint("inbound.average", 0))
    assert told(rig, ref, MAC, Affect.LIVE) == {"outbound.average": 50}
    assert told(rig, ref, MAC, Affect.CONFIG) == {}
    await put(rig, ref, MAC, Affect.LIVE, uint("outbound.average", 0))
    assert limits(rig, ref) is None


async def test_what_makes_no_sense_is_refused_and_changes_nothing(rig: Rig) -> None:
    ref = await started(rig)
    with pytest.raises(InvalidArgumentError, match="cannot find interface 'vnet9'"):
        await put(rig, ref, "vnet9", Affect.LIVE, uint("inbound.average", 1))
    with pytest.raises(ArgumentUnsupportedError, match=r"'outbound.floor' not supported"):
        await put(rig, ref, MAC, Affect.LIVE, uint("outbound.floor", 1))
    with pytest.raises(UnsupportedConfigError, match="needs an average"):
        await put(rig, ref, MAC, Affect.LIVE, uint("inbound.peak", 1))
    await rig.domains.detach_device(ref, CARD, Affect.CONFIG)
    with pytest.raises(InvalidArgumentError, match="has no interface"):
        await put(rig, ref, MAC, Affect.CONFIG, uint("inbound.average", 1))
    assert limits(rig, ref) is None
