"""Helpers of the tests of limits: values by name, and the group that a fake guest has."""

from collections.abc import Iterable

from insula.model.numbers import Affect, ParameterType
from insula.service.events import DomainIdentity
from insula.service.parameters import Parameter, Value
from insula.testing import FakeGroup
from tests.unit.service.fakes import Rig, domain_xml

BOTH = Affect.LIVE | Affect.CONFIG


def values(parameters: Iterable[Parameter]) -> dict[str, Value]:
    return {each.name: each.value for each in parameters}


def of_kind(kind: ParameterType, **wanted: Value) -> list[Parameter]:
    return [Parameter(name, kind, value) for name, value in wanted.items()]


def group(rig: Rig, ref: DomainIdentity) -> FakeGroup:
    """Return the control group of a running fake guest."""
    held = rig.domains.of(ref).require_run().container.group
    assert isinstance(held, FakeGroup)
    return held


async def running(rig: Rig, more: str = "") -> DomainIdentity:
    """Define and start a domain; what was told of that is forgotten."""
    ref = await rig.domains.start(await rig.domains.define(domain_xml(more=more)))
    rig.told.clear()
    return ref
