"""Where a domain's memory comes from."""

import pytest

from insula.errors import InvalidArgumentError, OperationInvalidError
from insula.model.numbers import Affect
from insula.model.resourcetuning import NumaMode
from insula.service.domainlimits import limits_of, memory_policy_of
from insula.service.numatuning import NUMA
from insula.service.parameters import Parameter, Value
from tests.unit.service.fakes import Rig
from tests.unit.service.limits import BOTH, group, running, values

pytestmark = pytest.mark.asyncio


def parameters(**wanted: Value) -> list[Parameter]:
    return [Parameter(name, NUMA.table[name], value) for name, value in wanted.items()]


async def test_nodes_are_pinned_live_and_for_good_and_let_go_again(rig: Rig) -> None:
    ref = await running(rig)
    tuning, managed = rig.domains.services.tuning, rig.domains.of(ref)
    assert values(tuning.parameters(managed, NUMA, Affect.LIVE)) == {"numa_mode": 0, "numa_nodeset": "0"}
    await tuning.set_parameters(managed, NUMA, parameters(numa_mode=0, numa_nodeset="0-1"), BOTH)
    assert group(rig, ref).cpuset.nodes == "0-1"
    for affect in (Affect.LIVE, Affect.CONFIG):
        assert values(tuning.parameters(managed, NUMA, affect)) == {"numa_mode": 0, "numa_nodeset": "0-1"}
    await tuning.set_parameters(managed, NUMA, parameters(numa_nodeset=""), BOTH)
    assert group(rig, ref).cpuset.nodes == "0"
    assert managed.current.numa_tune is None


async def test_a_policy_is_no_limit_and_holds_from_the_next_start_on(rig: Rig) -> None:
    ref = await running(rig)
    tuning, managed = rig.domains.services.tuning, rig.domains.of(ref)
    wanted = parameters(numa_mode=2, numa_nodeset="1,3")
    with pytest.raises(OperationInvalidError, match="next start on"):
        await tuning.set_parameters(managed, NUMA, wanted, BOTH)
    assert managed.current.numa_tune is managed.require_config().numa_tune is None
    await tuning.set_parameters(managed, NUMA, wanted, Affect.CONFIG)
    config = managed.require_config()
    assert config.numa_tune is not None and config.numa_tune.memory is not None
    assert config.numa_tune.memory.mode is NumaMode.INTERLEAVE
    policy = memory_policy_of(config)
    assert policy is not None and (policy.nodes, policy.interleaved) == ((1, 3), True)
    assert limits_of(config).memory_nodes is None


@pytest.mark.parametrize("wrong", [{"numa_mode": 4}, {"numa_mode": -1}, {"numa_nodeset": "zero"}])
async def test_what_is_no_mode_and_no_node_is_refused(rig: Rig, wrong: dict[str, Value]) -> None:
    ref = await running(rig)
    with pytest.raises(InvalidArgumentError, match="NUMA"):
        await rig.domains.services.tuning.set_parameters(rig.domains.of(ref), NUMA, parameters(**wrong), BOTH)
