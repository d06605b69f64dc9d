"""How many virtual processors, which, and where: changed as libvirt has it."""

import xml.etree.ElementTree as ET
from typing import Any

import pytest

from insula.errors import InsulaError, InvalidArgumentError, OperationFailedError, OperationInvalidError
from insula.model.domain import DomainDefinition
from insula.model.numbers import Affect, ParameterType
from insula.model.sizes import CpuSet
from insula.service.events import DomainIdentity, LimitChangeFailed, Tunable, VcpuRemoved, VcpusChanged
from insula.service.impact import Changes
from insula.service.parameters import Parameter
from insula.service.vcpuverbs import VcpuVerbs
from tests.unit.service.fakes import Rig, domain_xml

pytestmark = pytest.mark.asyncio
BOTH = Affect.LIVE | Affect.CONFIG


async def defined(rig: Rig, vcpu: str, more: str = "") -> tuple[VcpuVerbs, DomainIdentity]:
    ref = await rig.domains.define(domain_xml(more=more).replace("<vcpu>2</vcpu>", vcpu))
    return rig.domains.services.vcpus, ref


def config(rig: Rig, ref: DomainIdentity) -> DomainDefinition:
    return rig.domains.of(ref).require_config()


async def test_a_number_within_what_it_may_have_is_in_use_from_then_on(rig: Rig) -> None:
    verbs, ref = await defined(rig, "<vcpu>4</vcpu>")
    await rig.domains.start(ref)
    await verbs.set_count(rig.domains.of(ref), 3, BOTH)
    assert rig.domains.vcpu_count(ref, Affect.LIVE) == rig.domains.vcpu_count(ref, Affect.CONFIG) == 3
    await verbs.set_count(rig.domains.of(ref), 4, Affect.CONFIG)
    assert (config(rig, ref).vcpu.current, rig.domains.vcpu_count(ref, Affect.LIVE)) == (None, 3)
    seated = rig.domains.of(ref).require_run().record.seated
    assert seated is not None and len(seated.cpus) == 3


@pytest.mark.parametrize("number", [0, 5])
async def test_no_processors_and_too_many_are_refused_and_nothing_changes(rig: Rig, number: int) -> None:
    verbs, ref = await defined(rig, "<vcpu>4</vcpu>")
    with pytest.raises(InvalidArgumentError, match=r"cannot do without vcpus|greater than max allowable.*: 5 > 4"):
        await verbs.set_count(rig.domains.of(ref), number, Affect.CONFIG)
    assert config(rig, ref).vcpus_in_use == (0, 1, 2, 3)


async def test_the_most_changes_with_the_definition_alone(rig: Rig) -> None:
    pins = "".join(f"<vcpupin vcpu='{number}' cpuset='{number}'/>" for number in range(4))
    verbs, ref = await defined(rig, "<vcpu current='3'>4</vcpu>", f"<cputune>{pins}</cputune>")
    await verbs.set_maximum(rig.domains.of(ref), 2, Affect.CONFIG)
    domain = config(rig, ref)
    assert (domain.vcpu.count, domain.vcpus_in_use) == (2, (0, 1))
    assert domain.cpu_tune is not None and [each.vcpu for each in domain.cpu_tune.vcpu_pins] == [0, 1]
    await verbs.set_maximum(rig.domains.of(ref), 6, Affect.CURRENT)
    assert (config(rig, ref).vcpu.count, config(rig, ref).vcpus_in_use) == (6, (0, 1))
    with pytest.raises(InvalidArgumentError, match="at most 4096"):
        await verbs.set_maximum(rig.domains.of(ref), 5000, Affect.CONFIG)
    await rig.domains.start(ref)
    for affect in (Affect.LIVE, Affect.CURRENT, BOTH):
        with pytest.raises(OperationInvalidError, match="maximum vcpu count of a live domain"):
            await verbs.set_maximum(rig.domains.of(ref), 3, affect)


async def test_single_processors_go_and_come_and_are_named_only_where_they_are_not_the_first(rig: Rig) -> None:
    verbs, ref = await defined(rig, "<vcpu>4</vcpu>")
    await verbs.enable(rig.domains.of(ref), {1}, Affect.CONFIG, enabled=False)
    written = ET.fromstring(config(rig, ref).dump())
    assert [each.get("enabled") for each in written.iterfind("vcpus/vcpu")] == ["yes", "no", "yes", "yes"]
    assert (config(rig, ref).vcpu.current, config(rig, ref).vcpus_in_use) == (3, (0, 2, 3))
    await verbs.set_count(rig.domains.of(ref), 2, Affect.CONFIG)
    assert config(rig, ref).vcpus_in_use == (0, 2)
    await verbs.enable(rig.domains.of(ref), {1, 3}, Affect.CONFIG, enabled=True)
    assert config(rig, ref).single_vcpus is None
    for meant, error in (({0}, InvalidArgumentError), ({4}, OperationInvalidError)):
        with pytest.raises(error):
            await verbs.enable(rig.domains.of(ref), meant, Affect.CONFIG, enabled=False)


async def test_processors_that_a_running_guest_has_no_more_are_told_one_by_one(rig: Rig) -> None:
    verbs, ref = await defined(rig, "<vcpu>4</vcpu>")
    await verbs.set_count(rig.domains.of(ref), 3, Affect.CONFIG)
    ref = await rig.domains.start(ref)
    await verbs.set_count(rig.domains.of(ref), 4, Affect.CONFIG)
    await verbs.set_count(rig.domains.of(ref), 1, Affect.LIVE)
    await verbs.set_count(rig.domains.of(ref), 2, Affect.LIVE)
    assert [each.vcpu for each in rig.told if isinstance(each, VcpuRemoved)] == [1, 2]
    assert sum(isinstance(each, VcpusChanged) for each in rig.told) == 2, "down and up"


async def test_a_pin_moves_what_runs_and_is_told(rig: Rig) -> None:
    verbs, ref = await defined(rig, "<vcpu>2</vcpu>")
    ref = await rig.domains.start(ref)
    rig.told.clear()
    await verbs.pin(rig.domains.of(ref), 1, CpuSet({5}), BOTH)
    seated = rig.domains.of(ref).require_run().record.seated
    assert seated is not None and 5 in seated.cpus and len(seated.cpus) == 2
    assert list(rig.domains.vcpu_pins(ref, Affect.CONFIG))[1] == {5}
    await verbs.pin_emulator(rig.domains.of(ref), CpuSet({1, 2}), Affect.CURRENT)
    assert [each.parameters for each in rig.told if isinstance(each, Tunable)] == [
        (Parameter("cputune.vcpupin1", ParameterType.STRING, "5"),),
        (Parameter("cputune.emulatorpin", ParameterType.STRING, "1-2"),),
    ]
    await verbs.pin(rig.domains.of(ref), 1, CpuSet({3}), Affect.CONFIG)
    assert list(rig.domains.vcpu_pins(ref, Affect.LIVE))[1] == {5}


@pytest.mark.parametrize(("vcpu", "cpus"), [(2, CpuSet({1})), (0, CpuSet()), (0, CpuSet({4000}))])
async def test_a_pin_that_makes_no_sense_is_refused(rig: Rig, vcpu: int, cpus: CpuSet) -> None:
    verbs, ref = await defined(rig, "<vcpu>2</vcpu>")
    await rig.domains.start(ref)
    with pytest.raises(InsulaError, match=r"out of range|Empty cpu list|pinned to processors that are offline"):
        await verbs.pin(rig.domains.of(ref), vcpu, cpus, Affect.LIVE)


async def test_processors_that_a_guest_could_not_be_given_are_told(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise OperationFailedError("the kernel says no")

    verbs, ref = await defined(rig, "<vcpu>4</vcpu>")
    ref = await rig.domains.start(ref)
    monkeypatch.setattr(Changes, "change", fail)
    managed = rig.domains.of(ref)
    for change in (verbs.set_count(managed, 2, Affect.LIVE), verbs.pin(managed, 1, CpuSet({1}), Affect.LIVE)):
        with pytest.raises(OperationFailedError):
            await change
    (failed,) = (each for each in rig.told if isinstance(each, LimitChangeFailed))
    assert (failed.resource, failed.wanted) == ("vcpu", 2), "a pin changes no number"
