"""Tests of insula.engine.policy.resourcelimits."""

import resource

import pytest

from insula.engine.policy.resourcelimits import ENOUGH, is_raised
from insula.engine.spec import ResourceLimit


def test_every_limit_of_the_kernels_is_known() -> None:
    kernels = {name.removeprefix("RLIMIT_") for name in dir(resource) if name.startswith("RLIMIT_")}
    assert set(ENOUGH) == kernels - {"OFILE"}  # an old name of NOFILE


@pytest.mark.parametrize(
    ("name", "hard", "raised"),
    [("NOFILE", None, True), ("NOFILE", 1024, True), ("NOFILE", 1023, False), ("CORE", 0, True), ("AS", 4096, False)],
)
def test_what_would_keep_a_process_from_its_steps_is_not_set_before_them(
    name: str, hard: int | None, raised: bool
) -> None:
    assert is_raised(ResourceLimit(name=name, soft=hard, hard=hard)) is raised
