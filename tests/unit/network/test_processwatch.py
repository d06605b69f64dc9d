"""The ends of processes are told once each, and of those that never live long ever later."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from insula.kernel.processidentity import ProcessIdentity, identity_of
from insula.network.processwatch import ProcessWatch
from tests.waiting import patience

DEAD = ProcessIdentity(pid=2**22 - 1, started=1)


class Ends:
    """What was told, to be waited for."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[str] = asyncio.Queue()
        self.watch = ProcessWatch(self.queue.put_nowait)

    async def next(self) -> str:
        return await asyncio.wait_for(self.queue.get(), patience(10))


@pytest_asyncio.fixture
async def ends() -> AsyncIterator[Ends]:
    made = Ends()
    yield made
    made.watch.close()


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as started:
        yield started


@pytest.mark.asyncio
async def test_an_end_is_told_by_the_name_that_the_process_is_followed_by(
    ends: Ends, process: subprocess.Popen[bytes]
) -> None:
    ends.watch.follow("one", identity_of(process.pid))
    await asyncio.sleep(0)
    assert ends.queue.empty()
    process.kill()
    assert await ends.next() == "one"


@pytest.mark.asyncio
async def test_one_that_has_ended_before_is_told_at_once_and_then_ever_later(ends: Ends) -> None:
    loop = asyncio.get_running_loop()
    pauses = []
    for _ in range(3):
        before = loop.time()
        ends.watch.follow("one", DEAD)
        await ends.next()
        pauses.append(loop.time() - before)
    assert pauses[1] >= 1
    assert pauses[2] >= 2


@pytest.mark.asyncio
async def test_what_is_forgotten_or_followed_anew_is_not_told(ends: Ends, process: subprocess.Popen[bytes]) -> None:
    ends.watch.follow("forgotten", DEAD)
    ends.watch.forget("forgotten")
    ends.watch.follow("anew", DEAD)
    ends.watch.follow("anew", identity_of(process.pid))
    ends.watch.follow("nobody yet", None)
    ends.watch.follow("told", DEAD)
    assert await ends.next() == "told"
    process.kill()
    assert await ends.next() == "anew"


@pytest.mark.asyncio
async def test_nothing_is_followed_once_it_is_closed(process: subprocess.Popen[bytes]) -> None:
    ends = Ends()
    ends.watch.close()
    ends.watch.follow("one", identity_of(process.pid))
    ends.watch.follow("two", DEAD)
    await asyncio.sleep(0.01)
    assert ends.queue.empty()
