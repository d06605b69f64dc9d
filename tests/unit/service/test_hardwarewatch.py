"""What the kernel tells of hardware reaches whoever acts on it."""

import asyncio
import os
from typing import cast

import pytest

from insula.kernel.uevents import KernelEvents
from insula.service.hardwarewatch import HardwareWatch
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


async def test_who_watches_is_called_for_what_is_meant_alone_until_the_watch_ends() -> None:
    events = Events()
    told: list[None] = []
    watch = HardwareWatch(lambda: cast("KernelEvents", events), "processors", lambda: told.append(None))
    os.write(events.writer, b"xpxp")
    await until(lambda: len(told) == 2)
    watch.close()
    watch.close()
    os.close(events.writer)
    await asyncio.sleep(0)


async def test_a_host_that_tells_nothing_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    def none() -> KernelEvents:
        raise OSError(93, "Protocol not supported")

    HardwareWatch(none, "processors", lambda: None).close()
    assert "processors that come and go are not noticed at once" in caplog.text
