"""Reading a console's log: from a moment on, the last lines, with times, and further as it grows."""

import asyncio
import os
import re
import threading
import tracemalloc
from pathlib import Path

import pytest

from insula.engine.console import consolehistory
from insula.engine.console.consolehistory import PIECE, ConsoleHistory, LogSelection
from insula.engine.console.consolelog import ConsoleLog, LogLimits
from tests.descriptors import open_fds

pytestmark = pytest.mark.asyncio

STAMP = re.compile(rb"(?m)^\d{4}-\d\d-\d\dT\d\d:\d\d:(\d\d)\.(\d{3})[+-]\d{4} ")


class Clock:
    """Seconds since the epoch, as a test has them."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def _said(log: ConsoleLog, clock: Clock, *said: tuple[float, bytes]) -> None:
    for now, data in said:
        clock.now = now
        log.append(data)
    await log.close()


def _rest(history: ConsoleHistory) -> bytes:
    return b"".join(iter(history.read, b""))


def _read(path: Path, *, since: int | None = None, lines: int | None = None, stamped: bool = False) -> bytes:
    history = ConsoleHistory(path, LogSelection(since=since, lines=lines, stamped=stamped))
    try:
        return _rest(history)
    finally:
        history.close()


@pytest.mark.parametrize(
    ("since", "told"),
    [
        (0, b"one\ntwo\nthree\nfour\n"),
        (1001, b"two\nthree\nfour\n"),
        (2000, b"two\nthree\nfour\n"),
        (2001, b"three\nfour\n"),
        (4000, b"four\n"),
        (4001, b""),
    ],
)
@pytest.mark.parametrize("max_bytes", [4096, 64])
async def test_what_was_said_since_a_moment_is_told_and_nothing_before(
    tmp_path: Path, clock: Clock, since: int, told: bytes, max_bytes: int
) -> None:
    log = ConsoleLog(tmp_path / "l", timed=True, clock=clock, limits=LogLimits(file_bytes=max_bytes, old_files=9))
    said = ((1.0, b"one\n"), (2.0, b"two\n"), (3.0, b"three\n"), (4.0, b"four\n"))
    for each in said:
        await _said(log, clock, each)
    assert _read(tmp_path / "l", since=since) == told


async def test_of_what_was_said_since_the_last_lines_are_told(tmp_path: Path, clock: Clock) -> None:
    log = ConsoleLog(tmp_path / "l", timed=True, clock=clock, limits=LogLimits(file_bytes=8, old_files=9))
    await _said(log, clock, (1.0, b"one\n"), (2.0, b"two\n"), (3.0, b"three\n"), (4.0, b"four"))
    assert _read(tmp_path / "l", since=2000, lines=2) == b"three\nfour"
    assert _read(tmp_path / "l", since=3500, lines=9) == b"four"
    assert _read(tmp_path / "l", lines=3) == b"two\nthree\nfour"
    assert _read(tmp_path / "l", lines=0) == b""


async def test_a_line_that_was_going_on_is_told_whole(tmp_path: Path, clock: Clock) -> None:
    log = ConsoleLog(tmp_path / "l", timed=True, clock=clock)
    await _said(log, clock, (1.0, b"one\n"), (2.0, b"login: "), (3.0, b"root\n"))
    assert _read(tmp_path / "l", since=2500) == b"login: root\n"


async def test_each_line_begins_with_the_time_it_began_at(tmp_path: Path, clock: Clock) -> None:
    log = ConsoleLog(tmp_path / "l", timed=True, clock=clock, limits=LogLimits(file_bytes=10))
    await _said(log, clock, (1.0, b"one\r\ntwo\n"), (2.25, b"thr"), (3.0, b"ee\n\nfour"))
    stamped = _read(tmp_path / "l", stamped=True)
    assert STAMP.sub(b"", stamped) == b"one\r\ntwo\nthree\n\nfour"
    assert STAMP.findall(stamped) == [
        (b"01", b"000"),
        (b"01", b"000"),
        (b"02", b"250"),
        (b"03", b"000"),
        (b"03", b"000"),
    ]


async def test_a_log_of_an_earlier_version_is_told_if_it_may_be_of_that_time_and_without_times(
    tmp_path: Path, clock: Clock
) -> None:
    await asyncio.to_thread((tmp_path / "l").write_bytes, b"old\nolder\n")
    os.utime(tmp_path / "l", (50, 50))
    assert _read(tmp_path / "l", since=49_000) == b"old\nolder\n"
    assert _read(tmp_path / "l", since=51_000) == b""
    log = ConsoleLog(tmp_path / "l", timed=True, clock=clock)
    await _said(log, clock, (60.0, b"new\n"))
    assert _read(tmp_path / "l", since=60_000) == b"old\nolder\nnew\n"
    assert _read(tmp_path / "l", stamped=True).startswith(b"-" + b" " * consolehistory.STAMP_WIDTH + b"old\n")


async def test_a_reader_goes_on_over_rotations_and_misses_nothing(tmp_path: Path, clock: Clock) -> None:
    log = ConsoleLog(tmp_path / "l", timed=True, clock=clock, limits=LogLimits(file_bytes=100, old_files=5))
    history = ConsoleHistory(tmp_path / "l", LogSelection(stamped=True))
    told = b""
    for number in range(40):
        await _said(log, clock, (float(number + 1), b"line %02d\n" % number))
        if number % 3 == 0:
            told += _rest(history)
    told += _rest(history)
    history.close()
    assert STAMP.sub(b"", told) == b"".join(b"line %02d\n" % number for number in range(40))
    assert [int(second) for second, _ in STAMP.findall(told)] == list(range(1, 41))


async def test_a_reader_of_a_log_that_is_not_there_yet_waits_for_it(tmp_path: Path, clock: Clock) -> None:
    history = ConsoleHistory(tmp_path / "l", LogSelection(since=1))
    assert history.read() == b""
    await _said(ConsoleLog(tmp_path / "l", timed=True, clock=clock), clock, (1.0, b"one\n"))
    assert _rest(history) == b"one\n"
    history.close()


async def test_a_reader_that_fell_behind_goes_on_with_the_oldest_file(tmp_path: Path, clock: Clock) -> None:
    log = ConsoleLog(tmp_path / "l", limits=LogLimits(file_bytes=4, old_files=1))
    await _said(log, clock, (1.0, b"1"))
    history = ConsoleHistory(tmp_path / "l", LogSelection())
    assert history.read() == b"1"
    await _said(log, clock, (2.0, b"234" + b"5678" + b"9012" + b"34"))
    assert _rest(history) == b"234" + b"9012" + b"34"
    history.close()


async def test_no_file_stays_open_when_a_reader_is_closed_while_it_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asyncio.to_thread((tmp_path / "l").write_bytes, b"one\n")
    reading, goes_on = threading.Event(), threading.Event()
    history = ConsoleHistory(tmp_path / "l", LogSelection())
    really = os.pread

    def slow(fd: int, size: int, offset: int) -> bytes:
        reading.set()
        goes_on.wait()
        return really(fd, size, offset)

    before = open_fds()
    monkeypatch.setattr(os, "pread", slow)
    read = asyncio.create_task(asyncio.to_thread(history.read))
    await asyncio.to_thread(reading.wait)
    history.close()
    goes_on.set()
    await read
    assert open_fds() - before == set()
    assert history.read() == b""


@pytest.mark.parametrize(
    ("data", "count", "lines"),
    [
        (b"", 3, b""),
        (b"a\nb\nc\n", 2, b"b\nc\n"),
        (b"a\nb\nc", 2, b"b\nc"),
        (b"a\nb\n", 0, b""),
        (b"a\nb", 0, b""),
        (b"a", 5, b"a"),
        (b"\n\n\n", 1, b"\n"),
    ],
)
@pytest.mark.parametrize("piece", [1, 2, PIECE])
async def test_the_last_lines_are_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes, count: int, lines: bytes, piece: int
) -> None:
    monkeypatch.setattr(consolehistory, "PIECE", piece)
    for older in range(len(data) + 1):
        (tmp_path / "l.1").write_bytes(data[:older])
        (tmp_path / "l").write_bytes(data[older:])
        assert _read(tmp_path / "l", lines=count) == lines


async def test_the_last_lines_of_a_log_larger_than_memory_are_told(tmp_path: Path) -> None:
    with (tmp_path / "l").open("wb") as file:
        file.truncate(256 << 20)
        file.seek(0, os.SEEK_END)
        file.write(b"\none\ntwo\n")
    tracemalloc.start()
    try:
        assert _read(tmp_path / "l", lines=2) == b"one\ntwo\n"
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


async def test_what_is_written_right_before_a_rotation_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "l"
    path.write_bytes(b"one\n")
    opened = consolehistory._opened

    def rotated_before_a_look(place: Path, after: object = None) -> object:
        if after is not None and not (tmp_path / "l.1").exists():
            with path.open("ab") as file:
                file.write(b"two\n")
            path.rename(tmp_path / "l.1")
            path.write_bytes(b"three\n")
        return opened(place, after)  # type: ignore[arg-type]

    monkeypatch.setattr(consolehistory, "_opened", rotated_before_a_look)
    assert _read(path) == b"one\ntwo\nthree\n"


async def test_a_look_that_misses_a_file_amid_a_rotation_repeats_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, said in (("l.2", b"one\n"), ("l.1", b"two\n"), ("l", b"three\n")):
        (tmp_path / name).write_bytes(said)
    history = ConsoleHistory(tmp_path / "l", LogSelection())
    assert _rest(history) == b"one\ntwo\nthree\n"
    (tmp_path / "l").rename(tmp_path / "l.3")
    (tmp_path / "l").write_bytes(b"four\n")
    (tmp_path / "l.3").rename(tmp_path / "l.1")
    names, looks = consolehistory._names, iter([1])

    def missing(path: Path) -> list[Path]:
        return [each for each in names(path) if each.name != "l.1" or next(looks, None) is None]

    monkeypatch.setattr(consolehistory, "_names", missing)
    assert _rest(history) == b"four\n"
    history.close()


@pytest.mark.parametrize("name", ["*", "[vw]eb", "we?"])
async def test_a_log_whose_name_could_mean_several_means_itself(tmp_path: Path, name: str) -> None:
    """A domain may be called so, and another's words are not its own."""
    for each, said in (("web", b"secret"), (name, b"own")):
        (tmp_path / f"{each}.console0.log").write_bytes(said + b"\n")
        (tmp_path / f"{each}.console0.log.1").write_bytes(said + b" before\n")
    assert _read(tmp_path / f"{name}.console0.log") == b"own before\nown\n"
