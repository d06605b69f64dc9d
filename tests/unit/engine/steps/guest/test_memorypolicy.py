"""Tests of insula.engine.steps.guest.memorypolicy."""

from pathlib import Path

import pytest

from insula.engine.spec import MemoryPolicy
from insula.engine.steps.guest.memorypolicy import ChooseMemory
from tests.unit.engine.steps.guest.performing import guest, perform
from tests.unit.engine.steps.inchild import in_child


def policy_after(policy: MemoryPolicy) -> str:
    """Return how memory is shared among nodes once the step was performed, as numa_maps has it."""

    def choose() -> str:
        perform(guest(), ChooseMemory(why="test", policy=policy))
        return Path("/proc/self/numa_maps").read_text().splitlines()[0].split()[1]

    return str(in_child(choose))


@pytest.mark.requires("numa")
@pytest.mark.parametrize(
    ("policy", "shown"),
    [
        (MemoryPolicy(nodes=(0,)), "prefer:0"),
        (MemoryPolicy(nodes=(0,), interleaved=True), "interleave:0"),
    ],
)
def test_the_policy_is_the_kernels(policy: MemoryPolicy, shown: str) -> None:
    assert policy_after(policy) == shown


@pytest.mark.requires("numa")
def test_nodes_that_the_host_has_not_are_named() -> None:
    with pytest.raises(Exception, match=r"not all of the NUMA nodes 77"):
        policy_after(MemoryPolicy(nodes=(77,), interleaved=True))
