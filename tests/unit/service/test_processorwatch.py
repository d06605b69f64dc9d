"""What the kernel tells of processors reaches whoever moves guests."""

import asyncio
import os

import pytest

from insula.service.processorwatch import ProcessorWatch
from tests.unit.service.fakes import until

pytestmark = pytest.mark.asyncio


class Events:
    """A pipe in the place of the kernel's socket: `p` is a processor, all else is not."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()

    def fileno(self) -> int:
        return self.reader

    def read(self) -> bool:
        return os.read(self.reader, 1) == b"p"

    def close(self) -> None:
        os.close(self.reader)


async def test_who_watches_is_called_for_processors_alone_until_the_watch_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    events = Events()
    monkeypatch.setattr("insula.service.processorwatch.ProcessorEvents", lambda: events)
    told: list[None] = []
    watch = ProcessorWatch(lambda: told.append(None))
    os.write(events.writer, b"xpxp")
    await until(lambda: len(told) == 2)
    watch.close()
    watch.close()
    os.close(events.writer)
    await asyncio.sleep(0)


async def test_a_host_that_tells_nothing_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def none() -> None:
        raise OSError(93, "Protocol not supported")

    monkeypatch.setattr("insula.service.processorwatch.ProcessorEvents", none)
    ProcessorWatch(lambda: None).close()
    assert "processors that go on- and offline are not noticed at once" in caplog.text
