import asyncio
import os

import pytest

from insula.engine.readiness import until_readable


@pytest.mark.asyncio
async def test_it_returns_when_something_can_be_read_and_no_sooner() -> None:
    reader, writer = os.pipe()
    waiting = asyncio.ensure_future(until_readable(reader))
    await asyncio.sleep(0)
    assert not waiting.done()
    os.write(writer, b".")
    await waiting
    for fd in (reader, writer):
        os.close(fd)


@pytest.mark.asyncio
async def test_who_is_cancelled_watches_no_longer() -> None:
    reader, writer = os.pipe()
    waiting = asyncio.ensure_future(until_readable(reader))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not asyncio.get_running_loop().remove_reader(reader)
    for fd in (reader, writer):
        os.close(fd)
