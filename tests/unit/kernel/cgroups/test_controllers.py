import inspect

import pytest

from insula.kernel.cgroups import controllers, v1, v2

NAMES = ("Memory", "Cpu", "CpuTime", "CpuSet", "Io", "Tasks", "Freezer")


@pytest.mark.parametrize("version", [v1, v2], ids=["v1", "v2"])
@pytest.mark.parametrize("name", NAMES)
def test_both_versions_offer_every_verb_of_a_controller_with_the_same_arguments(version: object, name: str) -> None:
    promised = {
        verb: inspect.signature(function)
        for verb, function in vars(getattr(controllers, name)).items()
        if inspect.isfunction(function) and not verb.startswith("_")
    }
    kept = getattr(version, name)
    assert promised
    assert {verb: inspect.signature(getattr(kept, verb)) for verb in promised} == promised
