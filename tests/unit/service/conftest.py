"""Fixtures of the service's tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.unit.service.fakes import Rig


@pytest_asyncio.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """The verbs over fakes, recovered and ready."""
    made = Rig(tmp_path)
    await made.domains.recover()
    yield made
    await made.close()
