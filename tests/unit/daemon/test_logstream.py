"""A console's log as a stream: what is in the files, and what follows."""

import os
from pathlib import Path

import pytest

from insula.errors import InvalidArgumentError
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


@pytest.mark.parametrize(
    ("lines", "said"),
    [(1, b"four"), (2, b"three\nfour"), (3, b"two\nthree\nfour"), (9, b"one\ntwo\nthree\nfour")],
)
async def test_of_a_log_the_last_lines_are_told_of_all_files_together(tmp_path: Path, lines: int, said: bytes) -> None:
    (tmp_path / "l").write_bytes(b"ee\nfour")
    (tmp_path / "l.1").write_bytes(b"one\ntwo\nthr")
    async with connected() as both:
        both.domains.path = tmp_path / "l"
        serial = both.client.begin(Insula.DOMAIN_LOG, DOM, "console", 2 | lines << 16)
        reply = await both.client.until(lambda each: isinstance(each, Reply) and each.serial == serial)
        assert await both.client.stream_bytes(reply.stream, len(said)) == said
        await both.client.until(lambda each: isinstance(each, StreamEof))


async def test_who_follows_begins_with_the_last_lines_and_goes_on() -> None:
    async with connected() as both:
        both.domains.open_console()
        await both.client.call(Remote.DOMAIN_CREATE, DOM)
        os.write(both.domains.guest, b"one\ntwo\nthree\n")
        first = both.client.begin(Insula.DOMAIN_LOG, DOM, "console", 1)
        whole = await both.client.until(lambda each: isinstance(each, Reply) and each.serial == first)
        assert (await both.client.stream_bytes(whole.stream, 14)).replace(b"\r", b"").startswith(b"one\n")
        serial = both.client.begin(Insula.DOMAIN_LOG, DOM, "console", 3 | 1 << 16)
        reply = await both.client.until(lambda each: isinstance(each, Reply) and each.serial == serial)
        os.write(both.domains.guest, b"four\n")
        told = (await both.client.stream_bytes(reply.stream, 11)).replace(b"\r", b"")
        assert told.startswith(b"three\nfou")


async def test_lines_without_their_flag_are_refused() -> None:
    async with connected() as both:
        with pytest.raises(InvalidArgumentError, match="unsupported flags"):
            await both.client.call(Insula.DOMAIN_LOG, DOM, "console", 1 << 16)
