"""The daemon has all the descriptors it may; its keeper begins with as many as the daemon did."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from insula.daemon.descriptors import raise_limit, spawn_keeper_within
from insula.errors import KeeperError


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


def test_a_keeper_that_cannot_be_started_says_why(tmp_path: Path, soft_limit: int) -> None:
    (tmp_path / "file").touch()
    log = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    try:
        with pytest.raises(KeeperError, match="file"):
            spawn_keeper_within((soft_limit, soft_limit + 1), tmp_path / "file" / "keeper", log=log)
    finally:
        os.close(log)
