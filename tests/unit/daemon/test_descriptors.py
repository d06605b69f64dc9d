"""The daemon has all the descriptors it may."""

import resource
from collections.abc import Iterator

import pytest

from insula.daemon.descriptors import raise_limit


@pytest.fixture
def soft_limit() -> Iterator[int]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1] - 1, before[1]))
    yield before[1] - 1
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_soft_limit_becomes_the_hard_one_and_what_it_was_is_told(soft_limit: int) -> None:
    limits = raise_limit()

    assert limits == (soft_limit, soft_limit + 1)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (soft_limit + 1, soft_limit + 1)
