"""Tests of insula.engine.fragments.defaultlimits."""

from dataclasses import replace

import pytest

from insula.engine.fragments.defaultlimits import default_tasks, limits_of
from insula.engine.spec import Bytes, Limits
from insula.kernel.cgroups import Hierarchies
from tests.unit.engine.fragments.example import FACTS, SPEC

WHOLE = replace(FACTS, hierarchies=Hierarchies(v2="/sys/fs/cgroup", v2_controllers=("memory", "pids")))
MEMORY = Limits(memory=Bytes(1 << 30))


@pytest.mark.parametrize(("pids_max", "tasks"), [(4194304, 16384), (32768, 4096), (131072, 16384)])
def test_one_container_leaves_pids_to_others(pids_max: int, tasks: int) -> None:
    assert default_tasks(pids_max) == tasks
    assert limits_of(SPEC, replace(WHOLE, pids_max=pids_max)).pids == tasks


def test_a_number_that_is_named_counts() -> None:
    assert limits_of(replace(SPEC, limits=Limits(pids=7)), WHOLE).pids == 7


def test_swap_counts_as_memory_unless_it_is_named() -> None:
    assert limits_of(replace(SPEC, limits=MEMORY), WHOLE).memory_and_swap == MEMORY.memory
    more = replace(MEMORY, memory_and_swap=Bytes(1 << 31))
    assert limits_of(replace(SPEC, limits=more), WHOLE).memory_and_swap == 1 << 31
    assert limits_of(SPEC, WHOLE).memory_and_swap is None


def test_what_the_host_cannot_limit_is_left_alone() -> None:
    assert limits_of(SPEC, FACTS) == Limits()
    assert limits_of(replace(SPEC, limits=MEMORY), replace(FACTS, swap_limits=False)) == MEMORY
