"""The console's log file: complete, rotated by size, and never in anybody's way."""

import asyncio
import logging
import os
import threading
from pathlib import Path

import pytest

from insula.engine.console import consolelog
from insula.engine.console.consolelog import ConsoleLog, LogLimits
from insula.engine.writers import Writers
from tests.waiting import patience

pytestmark = pytest.mark.asyncio


async def test_bytes_are_in_the_file_once_closed_and_the_directory_is_made(tmp_path: Path) -> None:
    log = ConsoleLog(tmp_path / "deep" / "web.log")
    log.append(b"one ")
    log.append(b"\x00two")
    await log.close()
    assert log.path.read_bytes() == b"one \x00two"
    assert log.path.stat().st_mode & 0o777 == 0o600


async def test_a_full_file_is_rotated_and_old_ones_fall_off(tmp_path: Path) -> None:
    log = ConsoleLog(tmp_path / "web.log", limits=LogLimits(file_bytes=10, old_files=2))
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
    assert ConsoleLog(path)._tail(4) == b""
    await asyncio.to_thread(path.write_bytes, b"0123456789")
    assert ConsoleLog(path)._tail(4) == b"6789"
    assert ConsoleLog(path)._tail(100) == b"0123456789"


async def test_a_log_that_is_to_be_emptied_is_and_then_grows(tmp_path: Path) -> None:
    path = tmp_path / "web.log"
    await asyncio.to_thread(path.write_bytes, b"of an earlier run")
    log = ConsoleLog(path)
    log.truncate()
    log.append(b"new")
    await log.close()
    assert path.read_bytes() == b"new"


async def test_what_the_file_lacks_comes_before_what_is_new(tmp_path: Path) -> None:
    path = tmp_path / "web.log"
    await asyncio.to_thread(path.write_bytes, b"one two ")
    log = ConsoleLog(path)
    log.catch_up(b"one two three ")
    log.append(b"four")
    await log.close()
    assert path.read_bytes() == b"one two three four"


@pytest.mark.parametrize("obstacle", ["link on the way", "link", "pipe", "directory", "no directory"])
async def test_a_given_path_leads_to_a_regular_file_without_links_or_nothing_is_written(
    tmp_path: Path, obstacle: str
) -> None:
    (tmp_path / "real").mkdir()
    path = tmp_path / "real" / "log"
    match obstacle:
        case "link on the way":
            (tmp_path / "way").symlink_to(tmp_path / "real")
            path = tmp_path / "way" / "log"
        case "link":
            path.symlink_to(tmp_path / "target")
        case "pipe":
            os.mkfifo(path)
        case "directory":
            path.mkdir()
        case "no directory":
            path = tmp_path / "missing" / "log"
    before = await asyncio.to_thread(_all_below, tmp_path)
    told: list[str] = []
    log = ConsoleLog(path, given=True, tell=told.append)
    for _ in range(3):
        log.append(b"x")
        await log.close()
    assert await asyncio.to_thread(_all_below, tmp_path) == before
    assert len(told) == 1
    reason = {"link on the way": "a symbolic link is on the way", "link": "a symbolic link is on the way"}
    assert told[0].startswith(f"cannot write the console log {path}: {reason.get(obstacle, '')}")


async def test_a_log_that_was_moved_away_is_made_anew(tmp_path: Path) -> None:
    log = ConsoleLog(tmp_path / "web.log", given=True)
    log.append(b"one")
    await log.close()
    log.path.rename(tmp_path / "moved")
    log.append(b"two")
    await log.close()
    assert (log.path.read_bytes(), (tmp_path / "moved").read_bytes()) == (b"two", b"one")


async def test_a_disk_that_never_answers_holds_the_end_only_so_long_and_is_told(tmp_path: Path) -> None:
    never = threading.Event()
    writers = Writers("test", 1)
    stuck = asyncio.create_task(writers.perform(never.wait))
    told: list[str] = []
    log = ConsoleLog(tmp_path / "web.log", writers=writers, patience=0.05, tell=told.append)
    for _ in range(100):
        log.append(bytes(1 << 16))
    await log.close()
    assert told == [f"the console log {log.path} is left incomplete: the disk does not answer"]
    never.set()
    await stuck
    await writers.perform(lambda: None)  # the one thread has done by then what waited before, however slow the disk is
    assert log.path.with_name("web.log.1").exists()


def _all_below(directory: Path) -> list[Path]:
    return sorted(directory.rglob("*"))


async def test_what_could_not_be_written_is_counted_where_the_log_goes_on(tmp_path: Path) -> None:
    log = ConsoleLog(tmp_path / "web.log")
    log.path.mkdir()
    for lost in (b"123", b"4567"):
        log.append(lost)
        await log.close()
        assert log.failing
    log.path.rmdir()
    for said in (b"and ", b"on"):
        log.append(said)
        await log.close()
    assert not log.failing
    assert log.path.read_bytes() == b"\r\n[insula: 7 bytes are missing here, the disk did not keep up]\r\nand on"


async def test_of_files_that_an_earlier_daemon_kept_too_many_none_stays(tmp_path: Path) -> None:
    for number in (1, 2, 3, 4):
        (tmp_path / f"web.log.{number}").touch()
        (tmp_path / f"web.log.{number}.times").touch()
    log = ConsoleLog(tmp_path / "web.log", timed=True, limits=LogLimits(file_bytes=4, old_files=2))
    log.append(b"1234")
    await log.close()
    assert sorted(os.listdir(tmp_path)) == ["web.log.1", "web.log.1.times", "web.log.2", "web.log.2.times"]


@pytest.mark.parametrize("kind", ["link", "pipe"])
async def test_what_a_guest_puts_where_its_log_is_is_neither_followed_nor_waited_for(tmp_path: Path, kind: str) -> None:
    (tmp_path / "secret").write_text("another's")
    path = tmp_path / "web.log"
    if kind == "link":
        path.symlink_to(tmp_path / "secret")
    else:
        os.mkfifo(path)
    log = ConsoleLog(path, given=True, tell=lambda _: None)
    found: list[bytes] = []
    log.look_back(found.append)
    async with asyncio.timeout(patience(20)):
        await log.written()
        while not found:  # noqa: ASYNC110 - it is told by the loop
            await asyncio.sleep(0.001)
    assert found == [b""]
