"""Signals reach the fake host's processes, and nobody waits for their end."""

import signal
from collections.abc import Iterator

import pytest

from insula.engine.spec import ContainerSpec, DirectoryRoot
from insula.testing import DirectLink, FakeEngine, FakeHost

pytestmark = pytest.mark.asyncio
SPEC = ContainerSpec(name="web", uuid="1", root=DirectoryRoot(path="/srv"), consoles=0)


@pytest.fixture
def host() -> Iterator[FakeHost]:
    made = FakeHost()
    yield made
    made.close()


async def test_a_signal_is_remembered_and_a_kill_ends_the_guest(host: FakeHost) -> None:
    running = await FakeEngine(host=host, link=DirectLink(host)).launch(SPEC)
    running.signal(signal.SIGHUP)
    assert (host.signals, running.ends_within(60)) == ([("1", signal.SIGHUP)], False)
    running.signal(signal.SIGKILL)
    assert (host.guests(), running.ends_within(0)) == ({}, True)
    with pytest.raises(ProcessLookupError):
        running.signal(signal.SIGHUP)
    running.close()
