"""How many processes and threads a domain may have."""

import pytest

from insula.errors import InvalidArgumentError
from insula.model.numbers import Affect, ParameterType
from insula.service.processtuning import PROCESSES
from tests.unit.service.fakes import Rig, domain_xml
from tests.unit.service.limits import BOTH, of_kind, running, values

pytestmark = pytest.mark.asyncio


async def test_processes_are_limited_in_the_run_and_in_the_definition(rig: Rig) -> None:
    ref = await running(rig)
    tuning, managed = rig.domains.services.tuning, rig.domains.of(ref)
    assert values(tuning.parameters(managed, PROCESSES, Affect.CONFIG)) == {}
    await tuning.set_parameters(managed, PROCESSES, of_kind(ParameterType.UINT, pids=100), BOTH)
    assert values(tuning.parameters(managed, PROCESSES, Affect.LIVE)) == {"pids": 100}
    assert values(tuning.parameters(managed, PROCESSES, Affect.CONFIG)) == {"pids": 100}
    await tuning.set_parameters(managed, PROCESSES, of_kind(ParameterType.UINT, pids=50), Affect.CONFIG)
    assert managed.current.settings.pids_limit == 100 and managed.require_config().settings.pids_limit == 50


@pytest.mark.parametrize("pids", [0, 2**22 + 1])
async def test_a_number_that_no_host_can_have_is_refused(rig: Rig, pids: int) -> None:
    ref = await rig.domains.define(domain_xml())
    with pytest.raises(InvalidArgumentError, match="1 to 4194304 processes"):
        await rig.domains.services.tuning.set_parameters(
            rig.domains.of(ref), PROCESSES, of_kind(ParameterType.UINT, pids=pids), Affect.CONFIG
        )
