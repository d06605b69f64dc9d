"""The console's log file: complete, rotated by size, and never in anybody's way."""

import asyncio
import logging
import os
from pathlib import Path

import pytest

from insula.engine import consolelog
from insula.engine.consolelog import ConsoleLog, tail

pytestmark = pytest.mark.asyncio


async def test_bytes_are_in_the_file_once_closed_and_the_directory_is_made(tmp_path: Path) -> None:
    log = ConsoleLog(tmp_path / "deep" / "web.log")
    log.append(b"one ")
    log.append(b"\x00two")
    await log.close()
    assert log.path.read_bytes() == b"one \x00two"
    assert log.path.stat().st_mode & 0o777 == 0o600


async def test_a_full_file_is_rotated_and_old_ones_fall_off(tmp_path: Path) -> None:
    log = ConsoleLog(tmp_path / "web.log", max_bytes=10, backups=2)
    log.append(b"0123456789abcdefghijABCDEFGHIJrest")
    await log.close()
    assert sorted(os.listdir(tmp_path)) == ["web.log", "web.log.1", "web.log.2"]
    assert log.path.read_bytes() == b"rest"
    assert (tmp_path / "web.log.1").read_bytes() == b"ABCDEFGHIJ"
    assert (tmp_path / "web.log.2").read_bytes() == b"abcdefghij"


async def test_a_log_continues_where_an_earlier_daemon_stopped(tmp_path: Path) -> None:
    for part in (b"first,", b"second"):
        log = ConsoleLog(tmp_path / "web.log")
        log.append(part)
        await log.close()
    assert (tmp_path / "web.log").read_bytes() == b"first,second"


async def test_what_the_disk_cannot_keep_up_with_is_counted_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consolelog, "QUEUE_BYTES", 8)
    log = ConsoleLog(tmp_path / "web.log")
    log.append(b"12345678")
    log.append(b"lost!")
    await log.close()
    log.append(b"on")
    await log.close()
    assert log.path.read_bytes() == (b"12345678\r\n[insula: 5 bytes are missing here, the disk did not keep up]\r\non")


async def test_a_log_that_cannot_be_written_is_reported_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("not a directory")
    log = ConsoleLog(tmp_path / "file" / "web.log")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            log.append(b"x")
            await log.close()
    assert caplog.text.count("cannot write the console log") == 1


async def test_a_link_in_place_of_the_log_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"precious")
    (tmp_path / "web.log").symlink_to(target)
    log = ConsoleLog(tmp_path / "web.log")
    log.append(b"x")
    await log.close()
    assert target.read_bytes() == b"precious"


async def test_the_tail_is_the_end_of_the_file_and_nothing_when_there_is_none(tmp_path: Path) -> None:
    path = tmp_path / "web.log"
    assert tail(path, 4) == b""
    await asyncio.to_thread(path.write_bytes, b"0123456789")
    assert tail(path, 4) == b"6789"
    assert tail(path, 100) == b"0123456789"
