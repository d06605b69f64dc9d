"""Following networks, as far as files and processes go; tests/system/test_virtual_networks.py has real links."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from insula.kernel.process import start_time
from insula.kernel.processidentity import ProcessIdentity, identity_of
from insula.network.virtual.networkrecord import NetworkRecord
from insula.network.virtual.networkwatch import NetworkEvent, NetworkWatch
from tests.waiting import patience

LOOPBACK = 1
RECORD = NetworkRecord(name="n", uuid="u1", bridge="virbr0", made=True, index=LOOPBACK)


class Told:
    """What was told, to be waited for."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[tuple[str, NetworkEvent]] = asyncio.Queue()
        self.watch = NetworkWatch(lambda uuid, event: self.queue.put_nowait((uuid, event)))

    async def next(self) -> tuple[str, NetworkEvent]:
        return await asyncio.wait_for(self.queue.get(), patience(10))


@pytest_asyncio.fixture
async def told() -> AsyncIterator[Told]:
    made = Told()
    yield made
    made.watch.close()


@pytest.mark.asyncio
async def test_many_writes_of_leases_are_told_as_one_change(told: Told, tmp_path: Path) -> None:
    leases = tmp_path / "leases"
    leases.write_text("")
    told.watch.follow(RECORD, leases=leases)
    for _ in range(5):
        leases.write_text("lease\n")
    assert await told.next() == ("u1", NetworkEvent.LEASES)
    assert told.queue.empty()
    leases.write_text("another\n")
    assert await told.next() == ("u1", NetworkEvent.LEASES)


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as started:
        yield started


@pytest.mark.asyncio
async def test_a_dnsmasq_that_ends_is_told_and_one_that_has_ended_too(
    told: Told, process: subprocess.Popen[bytes]
) -> None:
    identity = ProcessIdentity(pid=process.pid, started=start_time(process.pid))
    record = NetworkRecord(name="n", uuid="u2", dnsmasq=identity)
    told.watch.follow(record)
    await asyncio.sleep(0)
    assert told.queue.empty()
    process.kill()
    assert await told.next() == ("u2", NetworkEvent.DAMAGED)
    process.wait()
    told.watch.forget("u2")
    told.watch.follow(record)
    assert await told.next() == ("u2", NetworkEvent.DAMAGED)


@pytest.mark.asyncio
async def test_one_that_never_lives_long_is_told_ever_later(told: Told) -> None:
    dead = NetworkRecord(name="n", uuid="u2", dnsmasq=ProcessIdentity(pid=2**22 - 1, started=1))
    loop = asyncio.get_running_loop()
    pauses = []
    for _ in range(3):
        before = loop.time()
        told.watch.follow(dead)
        await told.next()
        pauses.append(loop.time() - before)
    assert pauses[1] >= 1
    assert pauses[2] >= 2


@pytest.mark.asyncio
async def test_a_bridge_that_is_gone_already_is_told(told: Told) -> None:
    told.watch.follow(NetworkRecord(name="n", uuid="u1", index=2**31 - 1))
    assert await told.next() == ("u1", NetworkEvent.DAMAGED)


@pytest.mark.asyncio
async def test_what_is_not_followed_any_more_is_not_told(told: Told, tmp_path: Path) -> None:
    leases = tmp_path / "leases"
    leases.write_text("")
    told.watch.follow(RECORD, leases=leases)
    leases.write_text("lease\n")
    told.watch.forget("u1")
    other = tmp_path / "other"
    other.write_text("")
    told.watch.follow(NetworkRecord(name="m", uuid="u2"), leases=other)
    other.write_text("lease\n")
    assert await told.next() == ("u2", NetworkEvent.LEASES)


@pytest.mark.asyncio
async def test_what_a_verb_follows_after_the_watch_was_closed_is_not_followed_and_does_not_fail(
    process: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    """The daemon's end closes what it hears by first, and then waits for what is under way."""
    told = Told()
    leases = tmp_path / "leases"
    leases.write_text("")
    told.watch.follow(RECORD, leases=leases)
    told.watch.close()
    for record in (RECORD, NetworkRecord(name="n", uuid="u2", dnsmasq=identity_of(process.pid))):
        told.watch.follow(record, leases=leases)
        told.watch.forget(record.uuid)
    told.watch.follow(RECORD, leases=tmp_path / "none")
    process.kill()
    process.wait()
    await asyncio.sleep(0)
    assert told.queue.empty()
