"""Where a program's resource limits are set: so that none hinders a step behind it."""

from dataclasses import replace

import pytest

from insula.engine.fragments.programlimits import limits_before_capabilities_go, limits_of_descriptors
from insula.engine.spec import ContainerSpec, ResourceLimit
from insula.engine.steps.guest.confinement import LimitResource, RaiseLimit
from tests.plans import BUSYBOX, PRIVILEGED

CORE = ResourceLimit(name="CORE", soft=0, hard=0)
FEW = ResourceLimit(name="NOFILE", soft=0, hard=4)
MANY = ResourceLimit(name="NOFILE", soft=0, hard=1 << 20)


def described(spec: ContainerSpec) -> list[tuple[type, str]]:
    return [(type(each), each.name) for each in limits_before_capabilities_go(spec, "test") if hasattr(each, "name")]


@pytest.mark.parametrize(
    ("spec", "limit", "raised"),
    [
        (PRIVILEGED, MANY, [(RaiseLimit, "NOFILE")]),
        (PRIVILEGED, FEW, []),
        (BUSYBOX, MANY, []),
        (BUSYBOX, FEW, []),
    ],
    ids=["privileged-many", "privileged-few", "unprivileged-many", "unprivileged-few"],
)
def test_a_limit_of_descriptors_is_raised_while_that_can_be_done_and_lowered_at_the_end(
    spec: ContainerSpec, limit: ResourceLimit, raised: list[tuple[type, str]]
) -> None:
    limited = replace(spec, resource_limits=(CORE, limit))
    assert described(limited) == [(LimitResource, "CORE"), *raised]
    last = limits_of_descriptors(limited.resource_limits, "test")
    assert last == [LimitResource(why="test", name="NOFILE", soft=limit.soft, hard=limit.hard)]
