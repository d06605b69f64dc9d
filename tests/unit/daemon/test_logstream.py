"""A console's log as a stream: what is in the files, and what follows."""

import os
from pathlib import Path

import pytest

from insula.rpc.arrivals import Reply, StreamEof, StreamFinish
from insula.rpc.procedures import Insula, Remote
from tests.unit.daemon.clientend import DOM, connected

pytestmark = pytest.mark.asyncio


async def test_a_log_is_streamed_oldest_file_first(tmp_path: Path) -> None:
    (tmp_path / "l").write_bytes(b"newest")
    (tmp_path / "l.1").write_bytes(b"newer ")
    (tmp_path / "l.10").write_bytes(b"old ")
    async with connected() as both:
        both.domains.path = tmp_path / "l"
        serial = both.client.begin(Insula.DOMAIN_LOG, DOM, "console", 0)
        reply = await both.client.until(lambda each: isinstance(each, Reply) and each.serial == serial)
        assert await both.client.stream_bytes(reply.stream, 16) == b"old newer newest"
        await both.client.until(lambda each: isinstance(each, StreamEof))


async def test_a_followed_log_goes_on_with_what_the_guest_prints() -> None:
    async with connected() as both:
        both.domains.open_console()
        await both.client.call(Remote.DOMAIN_CREATE, DOM)
        serial = both.client.begin(Insula.DOMAIN_LOG, DOM, "console", 1)
        reply = await both.client.until(lambda each: isinstance(each, Reply) and each.serial == serial)
        os.write(both.domains.guest, b"news")
        assert await both.client.stream_bytes(reply.stream, 4) == b"news"
        both.client.connection.finish(reply.stream)
        both.client.send()
        await both.client.until(lambda each: isinstance(each, StreamFinish))
