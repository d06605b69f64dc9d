"""Tests of insula.engine.fragments.filters."""

from dataclasses import replace

import pytest

from insula.engine.fragments.filters import FILTERS, filter_steps
from insula.engine.policy.syscalls import programs
from insula.engine.spec import Seccomp, SeccompProfile
from insula.engine.steps.host.childsetup import CompileFilters
from tests.unit.engine.fragments.example import SPEC, told


@pytest.mark.parametrize(
    "seccomp",
    [
        Seccomp(),
        Seccomp(profile=SeccompProfile.MIGRATABLE),
        Seccomp(refuse=("ptrace",), allow=("bpf",)),
        # Refusals hold without a profile too.
        Seccomp(profile=SeccompProfile.UNCONFINED, refuse=("ptrace",)),
    ],
    ids=str,
)
def test_a_confined_container_has_as_many_filters_as_names_for_them(seccomp: Seccomp) -> None:
    steps = filter_steps(replace(SPEC, seccomp=seccomp))
    assert told(steps) == ["compile the system call filters"]
    (step,) = steps
    assert isinstance(step, CompileFilters)
    assert (step.seccomp, step.names) == (replace(seccomp, new_mounts=True), FILTERS)
    assert len(programs(step.seccomp)) == len(FILTERS)


def test_an_unconfined_container_has_none() -> None:
    assert filter_steps(replace(SPEC, seccomp=Seccomp(profile=SeccompProfile.UNCONFINED))) == []
