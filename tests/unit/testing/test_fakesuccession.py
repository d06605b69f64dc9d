"""Who runs on a fake host is found again as the host's memory has it."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from insula.engine.keeper.held import StartPhase
from insula.engine.launch.succession import Held
from insula.engine.spec import ContainerSpec, DirectoryRoot
from insula.errors import OperationFailedError
from insula.testing import DirectLink, FakeEngine, FakeHost

pytestmark = pytest.mark.asyncio
SPEC = ContainerSpec(name="web", uuid="1", root=DirectoryRoot(path="/srv"), consoles=0)


@pytest.fixture
def host() -> Iterator[FakeHost]:
    made = FakeHost()
    yield made
    made.close()


@pytest.fixture
def engine(host: FakeHost) -> FakeEngine:
    return FakeEngine(host=host, link=DirectLink(host))


async def test_a_pid_that_another_process_has_now_is_not_taken_for_the_guest(
    host: FakeHost, engine: FakeEngine
) -> None:
    running = await engine.launch(SPEC)
    host.kill_keeper()
    earlier = replace(running.record, born=running.record.born - 1)
    assert await engine.succession.recover(earlier) is None
    assert await engine.succession.recover(replace(running.record, boot="another")) is None
    assert await engine.succession.recover(running.record) is not None
    running.close()


async def test_a_guest_that_only_the_keeper_knows_is_told_by_its_group(host: FakeHost, engine: FakeEngine) -> None:
    running = await engine.launch(SPEC)
    held = Held(uuid="1", pid=running.pid, phase=StartPhase.RUNNING, status=None)
    found = engine.succession.unrecorded(held, "web")
    assert (found.group.path, found.record.born, found.described) == (running.group.path, running.record.born, False)
    host.end(host.guests()["1"], 0)
    with pytest.raises(OperationFailedError, match="cannot be told"):
        engine.succession.unrecorded(held, "web")
    running.close()
