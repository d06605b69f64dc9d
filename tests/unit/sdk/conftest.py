"""A small host to talk to."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakeserver import FakeServer
from tests.unit.sdk.answers import ANSWERS


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FakeServer]:
    with FakeServer(tmp_path / "sock", ANSWERS) as running:
        yield running
