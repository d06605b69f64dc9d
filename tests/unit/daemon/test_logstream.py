"""A console's log as a stream: what is in the files, and what follows."""

import os
from pathlib import Path

import pytest

from insula.engine.console.consolehistory import STAMP_WIDTH
from insula.engine.console.consolelog import ConsoleLog, LogLimits
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
        serial = both.client.begin(Insula.DOMAIN_LOG, DOM, "console", 0, -1, 0)
        reply = await both.client.until(lambda each: isinstance(each, Reply) and each.serial == serial)
        assert await both.client.stream_bytes(reply.stream, 16) == b"old newer newest"
        await both.client.until(lambda each: isinstance(each, StreamEof))


async def test_a_followed_log_goes_on_with_what_the_guest_prints() -> None:
    async with connected() as both:
        both.domains.open_console()
        await both.client.call(Remote.DOMAIN_CREATE, DOM)
        serial = both.client.begin(Insula.DOMAIN_LOG, DOM, "console", 0, -1, 1)
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
        serial = both.client.begin(Insula.DOMAIN_LOG, DOM, "console", 0, lines, 0)
        reply = await both.client.until(lambda each: isinstance(each, Reply) and each.serial == serial)
        assert await both.client.stream_bytes(reply.stream, len(said)) == said
        await both.client.until(lambda each: isinstance(each, StreamEof))


async def test_who_follows_begins_with_the_last_lines_of_all_files_and_goes_on(tmp_path: Path) -> None:
    (tmp_path / "l").write_bytes(b"two\nthree\n")
    (tmp_path / "l.1").write_bytes(b"zero\none\n")
    async with connected() as both:
        both.domains.path = tmp_path / "l"
        both.domains.open_console(ConsoleLog(tmp_path / "l"))
        await both.client.call(Remote.DOMAIN_CREATE, DOM)
        serial = both.client.begin(Insula.DOMAIN_LOG, DOM, "console", 0, 3, 1)
        reply = await both.client.until(lambda each: isinstance(each, Reply) and each.serial == serial)
        assert await both.client.stream_bytes(reply.stream, 14) == b"one\ntwo\nthree\n"
        os.write(both.domains.guest, b"four\n")
        assert await both.client.stream_bytes(reply.stream, 5) == b"four\n"


async def test_who_follows_sees_all_although_the_log_is_rotated_meanwhile(tmp_path: Path) -> None:
    said = [b"%06d\n" % number for number in range(600)]
    async with connected() as both:
        both.domains.path = tmp_path / "l"
        both.domains.open_console(ConsoleLog(tmp_path / "l", limits=LogLimits(file_bytes=500, old_files=20)))
        await both.client.call(Remote.DOMAIN_CREATE, DOM)
        serial = both.client.begin(Insula.DOMAIN_LOG, DOM, "console", 0, 9999, 1)
        reply = await both.client.until(lambda each: isinstance(each, Reply) and each.serial == serial)
        for number in range(0, len(said), 100):
            os.write(both.domains.guest, b"".join(said[number : number + 100]))
            seen = await both.client.stream_bytes(reply.stream, 700)
            assert seen == b"".join(said[number : number + 100])
    assert (tmp_path / "l.1").exists()


async def test_who_follows_sees_what_no_disk_takes_and_that_the_log_misses_it(tmp_path: Path) -> None:
    log = ConsoleLog(tmp_path / "d" / "l", given=True)
    async with connected() as both:
        both.domains.path = log.path
        both.domains.open_console(log)
        await both.client.call(Remote.DOMAIN_CREATE, DOM)
        serial = both.client.begin(Insula.DOMAIN_LOG, DOM, "console", 0, 0, 1)
        reply = await both.client.until(lambda each: isinstance(each, Reply) and each.serial == serial)
        os.write(both.domains.guest, b"unwritten\n")
        assert await both.client.stream_bytes(reply.stream, 10) == b"unwritten\n"
        log.path.parent.mkdir()
        os.write(both.domains.guest, b"well again\n")
        told = b"\r\n[insula: 10 bytes are missing here, the disk did not keep up]\r\nwell again\n"
        assert await both.client.stream_bytes(reply.stream, len(told)) == told


async def test_what_was_said_since_goes_on_with_its_times_until_the_end(tmp_path: Path) -> None:
    async with connected() as both:
        both.domains.path = tmp_path / "l"
        both.domains.open_console(ConsoleLog(tmp_path / "l", timed=True))
        await both.client.call(Remote.DOMAIN_CREATE, DOM)
        assert both.domains.hub is not None
        os.write(both.domains.guest, b"one\n")
        serial = both.client.begin(Insula.DOMAIN_LOG, DOM, "console", 1, -1, 3)
        reply = await both.client.until(lambda each: isinstance(each, Reply) and each.serial == serial)
        width = STAMP_WIDTH + len(" one\n")
        assert (await both.client.stream_bytes(reply.stream, width)).endswith(b" one\n")
        os.write(both.domains.guest, b"two\n")
        assert (await both.client.stream_bytes(reply.stream, width)).endswith(b" two\n")
        os.write(both.domains.guest, b"end\n")
        await both.domains.hub.finish()
        assert (await both.client.stream_bytes(reply.stream, width)).endswith(b" end\n")
        await both.client.until(lambda each: isinstance(each, StreamEof))


async def test_what_a_log_cannot_be_asked_for_is_refused() -> None:
    async with connected() as both:
        with pytest.raises(InvalidArgumentError, match="unsupported flags"):
            await both.client.call(Insula.DOMAIN_LOG, DOM, "console", 0, -1, 4)
