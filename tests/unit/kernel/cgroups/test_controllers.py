import inspect

import pytest

from insula.kernel.cgroups import controllers, v1, v2

CONTROLLERS = {
    "Memory": controllers.MemoryController,
    "Cpu": controllers.CpuController,
    "CpuTime": controllers.CpuTimeController,
    "CpuSet": controllers.CpuSetController,
    "Io": controllers.IoController,
    "Pids": controllers.PidsController,
    "Freezer": controllers.FreezerController,
}
VERSIONS = {"V1": v1, "V2": v2}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", CONTROLLERS)
def test_both_versions_offer_every_verb_of_a_controller_with_the_same_arguments(version: str, name: str) -> None:
    promised = {
        verb: inspect.signature(function)
        for verb, function in vars(CONTROLLERS[name]).items()
        if inspect.isfunction(function) and not verb.startswith("_")
    }
    offered = getattr(VERSIONS[version], f"{version}{name}")
    assert promised
    assert {verb: inspect.signature(getattr(offered, verb)) for verb in promised} == promised
