"""A guest's kernel log as a stream."""

import os
import time
from collections.abc import Iterator
from typing import cast

import pytest

from insula.daemon import kernellogjob
from insula.daemon.kernellogjob import kernel_log_job
from insula.daemon.serverstreams import ServerStream
from insula.engine.console.consolehistory import STAMP_WIDTH, LogSelection
from insula.kernel.fds import Fd
from insula.view.keptcells import KeptCells
from insula.view.messagering import MessageRing
from insula.view.viewedfiles import KEPT_BYTES

pytestmark = pytest.mark.asyncio


class Received:
    """A stream that keeps what is sent."""

    def __init__(self) -> None:
        self.data = b""

    async def send(self, data: bytes) -> None:
        self.data += data

    @property
    def stream(self) -> ServerStream:
        return cast("ServerStream", self)


@pytest.fixture
def memory() -> Iterator[Fd]:
    fd = Fd(os.memfd_create("kept"))
    os.ftruncate(fd, KEPT_BYTES)
    yield fd
    os.close(fd)


def ring(memory: Fd) -> MessageRing:
    return MessageRing(KeptCells(memory).log)


async def test_all_there_is_is_sent_though_the_guest_has_ended_meanwhile(memory: Fd) -> None:
    log = ring(memory)
    log.append(6, 1_500_000, b"one")
    log.append(6, 2_500_000, b"two")
    job, received = kernel_log_job(memory, 0, LogSelection()), Received()
    await job.serve(received.stream)
    job.release()
    assert received.data == b"[    1.500000] one\n[    2.500000] two\n"


async def test_the_last_lines_and_what_was_said_since_are_chosen(memory: Fd) -> None:
    log, now = ring(memory), time.clock_gettime(time.CLOCK_MONOTONIC)
    log.append(6, int((now - 3000) * 1_000_000), b"old")
    for index in range(3):
        log.append(6, int(now * 1_000_000), b"new %d" % index)
    received = Received()
    since = int((time.time() - 600) * 1000)
    job = kernel_log_job(memory, 0, LogSelection(since=since, stamped=True))
    await job.serve(received.stream)
    job.release()
    assert [line[-5:] for line in received.data.splitlines()] == [b"new 0", b"new 1", b"new 2"]
    assert received.data[STAMP_WIDTH : STAMP_WIDTH + 2] == b" ["
    for lines, count in ((2, 2), (0, 0), (9, 4)):
        received = Received()
        job = kernel_log_job(memory, 0, LogSelection(lines=lines))
        await job.serve(received.stream)
        job.release()
        assert len(received.data.splitlines()) == count


async def test_a_followed_log_goes_on_as_long_as_the_guest(memory: Fd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernellogjob, "LOOK_AGAIN", 0.001)
    log, received, looks = ring(memory), Received(), 0
    log.append(6, 0, b"before")

    def goes_on() -> bool:
        nonlocal looks
        looks += 1
        log.append(6, 0, b"look %d" % looks)
        return looks < 4

    job = kernel_log_job(memory, 0, LogSelection(), goes_on=goes_on)
    await job.serve(received.stream)
    job.release()
    assert [line.split(b"] ")[1] for line in received.data.splitlines()] == [b"before", b"look 1", b"look 2", b"look 3"]
