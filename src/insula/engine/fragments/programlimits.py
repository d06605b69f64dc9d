"""Steps that set a program's resource limits, each where it hinders none of the steps behind it."""

from collections.abc import Sequence

from insula.engine.policy.resourcelimits import is_raised
from insula.engine.spec import ContainerSpec, ResourceLimit
from insula.engine.steps.guest.confinement import LimitResource, RaiseLimit
from insula.engine.steps.guest.gueststep import GuestStep
from insula.engine.steps.guest.memorypolicy import ChooseMemory

_OF_DESCRIPTORS = "NOFILE"


def limits_before_capabilities_go(spec: ContainerSpec, why: str) -> list[GuestStep]:
    """Return the steps that set limits which hinder nobody here, or may take the host's powers to be set."""
    steps: list[GuestStep] = []
    if spec.memory_policy is not None:
        steps.append(ChooseMemory(why=why, policy=spec.memory_policy))
    for each in spec.resource_limits:
        if each.name != _OF_DESCRIPTORS:
            steps.append(LimitResource(why=why, name=each.name, soft=each.soft, hard=each.hard))
        elif spec.idmap is None and is_raised(each):  # else that was done before its user namespace was entered
            steps.append(RaiseLimit(why="without capabilities it can only be lowered", name=each.name, hard=each.hard))
    return steps


def limits_of_descriptors(limits: Sequence[ResourceLimit], why: str) -> list[GuestStep]:
    """Return the step behind which nothing of ours opens a file: the limit may be as low as it likes."""
    return [
        LimitResource(why=why, name=each.name, soft=each.soft, hard=each.hard)
        for each in limits
        if each.name == _OF_DESCRIPTORS
    ]
