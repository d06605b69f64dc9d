"""A host that is written down is there again, with all that a kernel and a keeper would know."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from insula.engine.exitstatus import ExitStatus
from insula.engine.keeper.held import StartPhase
from insula.engine.spec import Bytes, ContainerSpec, DirectoryRoot, Limits, Process
from insula.kernel.fds import close_all
from insula.testing import DirectLink, FakeEngine, FakeHost, hoststore

pytestmark = pytest.mark.asyncio
SPEC = ContainerSpec(
    name="web", uuid="1", root=DirectoryRoot(path="/srv"), consoles=1, limits=Limits(memory=Bytes(1 << 20))
)


@pytest.fixture
def host() -> Iterator[FakeHost]:
    made = FakeHost()
    yield made
    made.close()


def again(host: FakeHost, link: DirectLink, directory: Path) -> FakeHost:
    """Let the daemon die, and return its host as another process finds it."""
    link.close()
    hoststore.save(host, directory)
    return hoststore.load(directory)


async def test_where_none_was_written_down_there_is_a_new_one(tmp_path: Path) -> None:
    assert hoststore.load(tmp_path / "none").processes == {}


async def test_a_guest_its_group_and_its_programs_are_there_and_can_be_ended(host: FakeHost, tmp_path: Path) -> None:
    link = DirectLink(host)
    engine = FakeEngine(host=host, link=link)
    running = await engine.launch(SPEC)
    null = os.open("/dev/null", os.O_RDWR)
    executed = await engine.entrance.execute(running, Process(argv=("/bin/true",)), stdio=(null,) * 3)
    running.group.freeze()

    later = again(host, link, tmp_path)
    (group,) = later.groups.values()
    assert (group.frozen, group.memory.limits, group.maker) == (True, {"memory": 1 << 20}, running.record.launch)
    assert group.processes() == [running.pid, executed.pid]
    successor = FakeEngine(host=later, link=DirectLink(later))
    assert [each.phase for each in await successor.succession.held()] == [StartPhase.RUNNING]
    assert [each.record for each in successor.succession.labels().living] == [running.record]
    found = await successor.succession.recover(running.record)
    assert found is not None
    assert await successor.teardown.destroy(found) == ExitStatus(status=9)
    assert (later.processes, later.groups) == ({}, {})
    assert later.next_pid() > executed.pid
    close_all([null, executed.pidfd])
    running.close()
    later.close()


async def test_a_guest_that_waits_for_a_word_waits_for_the_next_daemons(host: FakeHost, tmp_path: Path) -> None:
    link = DirectLink(host)
    running = await FakeEngine(host=host, link=link).launch(SPEC, paused=True)
    later = again(host, link, tmp_path)
    successor = FakeEngine(host=later, link=DirectLink(later))
    found = await successor.succession.recover(running.record)
    assert found is not None
    assert found.awaiting_exec
    await successor.resume(found)
    assert later.guests()["1"].executed
    found.close()
    running.close()
    later.close()


@pytest.mark.parametrize("kept", [True, False], ids=["held", "without a keeper"])
async def test_how_a_guest_ended_is_known(host: FakeHost, tmp_path: Path, kept: bool) -> None:
    link = DirectLink(host)
    running = await FakeEngine(host=host, link=link).launch(SPEC)
    if not kept:
        host.kill_keeper()
    host.end(host.guests()["1"], 256)
    later = again(host, link, tmp_path)
    found = await FakeEngine(host=later, link=DirectLink(later)).succession.recover(running.record)
    assert found is not None
    assert found.status == ExitStatus(status=256)
    found.close()
    running.close()
    later.close()
