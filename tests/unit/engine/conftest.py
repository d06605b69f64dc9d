"""Fixtures of the engine's unit tests."""

import contextlib
import os
from collections.abc import Iterator

import pytest


@pytest.fixture
def user() -> Iterator[tuple[int, int]]:
    """A terminal: the user's side and ours."""
    master, slave = os.openpty()
    yield master, slave
    os.close(master)
    os.close(slave)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe of the caller's; a test may close its ends."""
    ends = os.pipe2(os.O_CLOEXEC)
    yield ends
    for each in ends:
        with contextlib.suppress(OSError):
            os.close(each)
