"""A keeper in a fork of the test, and a program that is no child of it."""

import contextlib
import subprocess
from collections.abc import Iterator

import pytest

from tests.unit.engine.forkedkeeper import ForkedKeeper


@pytest.fixture
def held() -> Iterator[ForkedKeeper]:
    made = ForkedKeeper()
    yield made
    with contextlib.suppress(ChildProcessError):
        made.end()


@pytest.fixture
def stranger() -> Iterator["subprocess.Popen[bytes]"]:
    """A program that is no child of the keeper's."""
    with subprocess.Popen(["sleep", "1000"]) as process:
        yield process
        process.kill()
