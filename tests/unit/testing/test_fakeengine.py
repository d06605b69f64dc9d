"""The fake engine launches, ends and finds again as the launcher does; a failed launch leaves nothing."""

import errno
import os
from collections.abc import Iterator
from dataclasses import replace

import pytest

from insula.engine.exitstatus import ExitStatus
from insula.engine.launch.holdings import Remains
from insula.engine.spec import ContainerSpec, DirectoryRoot, Process
from insula.errors import StepError
from insula.kernel.process import has_ended
from insula.testing import DirectLink, FakeEngine, FakeHost

pytestmark = pytest.mark.asyncio
WEB = "00000000-0000-0000-0000-000000000001"
SPEC = ContainerSpec(name="web", uuid=WEB, root=DirectoryRoot(path="/srv"))


@pytest.fixture
def host() -> Iterator[FakeHost]:
    made = FakeHost(boot="this one")
    yield made
    made.close()


@pytest.fixture
def engine(host: FakeHost) -> FakeEngine:
    return FakeEngine(host=host, link=DirectLink(host))


async def test_a_launched_guest_lives_until_it_is_destroyed_and_leaves_nothing(
    host: FakeHost, engine: FakeEngine
) -> None:
    intents: list[Remains] = []
    running = await engine.launch(SPEC, write_intent=intents.append)
    assert (intents[0].uuid, list(host.guests())) == (WEB, [WEB])
    assert [each.record.pid for each in engine.succession.labels().living] == [running.pid]

    assert (await engine.teardown.destroy(running)).status == 9
    assert (host.groups, host.processes, host.ended) == ({}, {}, {})
    await engine.teardown.destroy(running)


@pytest.mark.parametrize("what", ["make group", "clone", "execute"])
async def test_a_launch_that_is_refused_anywhere_leaves_nothing(host: FakeHost, engine: FakeEngine, what: str) -> None:
    def refuse(change: str) -> None:
        if change.startswith(what):
            raise OSError(errno.ENOMEM, "no memory")

    host.before = refuse
    with pytest.raises(StepError) as caught:
        await engine.launch(SPEC)
    assert caught.value.errno == errno.ENOMEM
    assert (host.groups, host.processes, host.ended) == ({}, {}, {})


async def test_a_guest_launched_paused_waits_frozen_until_it_is_resumed(host: FakeHost, engine: FakeEngine) -> None:
    running = await engine.launch(SPEC, paused=True)
    assert running.awaiting_exec
    assert running.group.frozen
    await engine.resume(running)
    assert host.guests()[WEB].executed
    assert not running.group.frozen


async def test_a_later_engine_finds_the_guest_with_and_without_its_keeper(host: FakeHost, engine: FakeEngine) -> None:
    record = (await engine.launch(SPEC)).record
    for kill in (False, True):
        if kill:
            host.kill_keeper()
        later = FakeEngine(host=host, link=DirectLink(host))
        found = await later.succession.recover(record)
        assert found is not None
        assert (found.pid, found.status) == (record.pid, None)
        assert [each.uuid for each in await later.succession.held()] == [WEB]
        found.close()


async def test_a_guest_that_ended_meanwhile_is_found_with_its_status(host: FakeHost, engine: FakeEngine) -> None:
    record = (await engine.launch(SPEC)).record
    host.kill_keeper()
    host.end(host.guests()[WEB], 2)
    found = await FakeEngine(host=host, link=DirectLink(host)).succession.recover(record)
    assert found is not None
    assert found.status is not None
    assert found.status.status == 2


async def test_a_launch_that_was_cut_short_is_undone_by_its_intent_alone(host: FakeHost, engine: FakeEngine) -> None:
    intents: list[Remains] = []
    await engine.launch(SPEC, write_intent=intents.append)
    later = FakeEngine(host=host, link=DirectLink(host))
    await later.teardown.take_away(replace(intents[0], launch="another"))
    assert WEB in host.guests()
    await later.teardown.take_away(intents[0])
    await later.teardown.take_away(intents[0])
    assert (host.groups, host.processes, host.ended) == ({}, {}, {})


async def test_a_group_that_outlived_its_guest_is_a_relic_until_it_is_released(
    host: FakeHost, engine: FakeEngine
) -> None:
    record = (await engine.launch(SPEC)).record
    assert engine.succession.labels().relics == ()
    host.end(host.guests()[WEB], 0)
    labels = engine.succession.labels()
    assert (labels.living, [each.record.pid for each in labels.relics]) == ((), [record.pid])
    await engine.teardown.release(engine.succession.handle(record), ExitStatus(status=None))
    assert engine.succession.labels().relics == ()


async def test_a_program_is_put_in_as_the_real_entrance_does_it_and_a_later_engine_learns_how_it_ended(
    host: FakeHost, engine: FakeEngine
) -> None:
    running = await engine.launch(SPEC)
    streams = os.pipe()
    executed = await engine.entrance.execute(
        running, Process(argv=("/bin/true",)), stdio=(streams[0], streams[1], streams[1])
    )
    (process,) = host.inside(WEB)
    assert (executed.pid, executed.uuid, process.executed) == (process.pid, WEB, True)
    host.kill_keeper()
    await engine.succession.adopt_execution(executed, process.born)
    host.end(process, 0)
    assert has_ended(executed.pidfd)
    later = FakeEngine(host=host, link=DirectLink(host))
    (entered,) = await later.succession.entered()
    assert (entered.id, entered.ended, later.succession.opened(entered)) == (executed.id, True, None)
    await later.teardown.forget_execution(entered.id)
    assert host.keeper is not None
    assert host.keeper.entered == frozenset()
    for fd in (*streams, executed.pidfd):
        os.close(fd)
    await engine.teardown.destroy(running)
    engine.close()
