"""Fixtures of the tests of launches, ends and successions."""

import subprocess
from collections.abc import Iterator

import pytest


@pytest.fixture
def program() -> Iterator["subprocess.Popen[bytes]"]:
    """A process of the test's own, which a test may kill."""
    with subprocess.Popen(["sleep", "1000"]) as process:
        yield process
        process.kill()
