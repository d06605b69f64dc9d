"""The times beside a console's log: true, or not there."""

import asyncio
import os
from pathlib import Path

import pytest

from insula.engine.console import consoletimes
from insula.engine.console.consolelog import ConsoleLog, LogLimits
from insula.engine.console.consoletimes import PendingMarks, TimeMark, TimesReader, part

pytestmark = pytest.mark.asyncio


class Clock:
    """Seconds since the epoch, as a test has them."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def _times(path: Path) -> TimesReader:
    reader = TimesReader(os.open(path, os.O_RDONLY) if path.exists() else None)
    reader.refresh()
    reader.close()
    return reader


async def _say(log: ConsoleLog, clock: Clock, *said: tuple[float, bytes]) -> None:
    for now, data in said:
        clock.now = now
        log.append(data)
    await log.close()


async def test_each_part_has_the_time_it_was_said_at_although_all_were_written_at_once(tmp_path: Path) -> None:
    clock = Clock()
    log = ConsoleLog(tmp_path / "l", timed=True, clock=clock)
    await _say(log, clock, (1.0, b"one\n"), (2.5, b"two\n"), (3.0, b"three\n"))
    times = _times(tmp_path / "l.times")
    assert [times.moment(each) for each in (0, 3, 4, 7, 8, 99)] == [1000, 1000, 2500, 2500, 3000, 3000]
    assert (tmp_path / "l.times").stat().st_mode & 0o777 == 0o600


async def test_times_are_rotated_with_their_log_and_go_on_in_the_next_file(tmp_path: Path) -> None:
    clock = Clock()
    log = ConsoleLog(tmp_path / "l", timed=True, clock=clock, limits=LogLimits(file_bytes=64, old_files=2))
    await _say(log, clock, (1.0, b"a" * 40), (2.0, b"b" * 40), (3.0, b"c" * 100))
    assert sorted(os.listdir(tmp_path)) == ["l", "l.1", "l.1.times", "l.2", "l.2.times", "l.times"]
    for name in ("l", "l.1", "l.2"):
        times = _times(tmp_path / f"{name}.times")
        for place, byte in enumerate((tmp_path / name).read_bytes()):
            assert times.moment(place) == {0x61: 1000, 0x62: 2000, 0x63: 3000}[byte]


async def test_many_short_lines_do_not_make_more_times_than_log(tmp_path: Path) -> None:
    clock = Clock()
    log = ConsoleLog(tmp_path / "l", timed=True, clock=clock, limits=LogLimits(file_bytes=160, old_files=1))
    for second in range(1, 96):
        await _say(log, clock, (float(second), b"\n"))
    assert {name: (tmp_path / name).stat().st_size for name in os.listdir(tmp_path)} == {
        "l": 5,
        "l.times": 80,
        "l.1": 10,
        "l.1.times": 160,
    }
    assert _times(tmp_path / "l.1.times").moment(0) == 81000


async def test_a_time_whose_bytes_a_death_kept_from_the_log_does_not_count(tmp_path: Path) -> None:
    clock = Clock()
    await _say(ConsoleLog(tmp_path / "l", timed=True, clock=clock), clock, (1.0, b"one\n"), (2.0, b"two\n"))
    os.truncate(tmp_path / "l", 4)  # the second record was written, and then the daemon was killed
    log = ConsoleLog(tmp_path / "l", timed=True, clock=clock)
    clock.now = 9.0
    log.catch_up(b"one\ntwo\n")
    await log.close()
    assert (tmp_path / "l").read_bytes() == b"one\ntwo\n"
    assert [_times(tmp_path / "l.times").moment(each) for each in (0, 4)] == [1000, 9000]


async def test_a_record_that_was_cut_short_is_written_over(tmp_path: Path) -> None:
    clock = Clock()
    await _say(ConsoleLog(tmp_path / "l", timed=True, clock=clock), clock, (1.0, b"one\n"))
    with (tmp_path / "l.times").open("ab") as file:
        file.write(b"\x04\0\0")
    await _say(ConsoleLog(tmp_path / "l", timed=True, clock=clock), clock, (2.0, b"two\n"))
    assert [_times(tmp_path / "l.times").moment(each) for each in (0, 4)] == [1000, 2000]
    assert (tmp_path / "l.times").stat().st_size == 32


@pytest.mark.parametrize("same_daemon", [True, False])
@pytest.mark.parametrize("done", ["moved", "emptied", "shortened"])
async def test_a_log_that_somebody_changed_has_no_time_of_what_was_there(
    tmp_path: Path, done: str, *, same_daemon: bool
) -> None:
    clock = Clock()
    log = ConsoleLog(tmp_path / "l", timed=True, clock=clock)
    await _say(log, clock, (1.0, b"one\n"), (2.0, b"two\n"), (3.0, b"three\n"))
    if done == "moved":
        (tmp_path / "l").rename(tmp_path / "mine")
    else:
        os.truncate(tmp_path / "l", 0 if done == "emptied" else 6)
    if not same_daemon:
        log = ConsoleLog(tmp_path / "l", timed=True, clock=clock)
    await _say(log, clock, (4.0, b"four\n"))
    start = 6 if done == "shortened" else 0
    assert (tmp_path / "l").read_bytes()[start:] == b"four\n"
    times = _times(tmp_path / "l.times")
    assert times.moment(start) == 4000
    assert not start or same_daemon == (times.moment(0) is None)


async def test_times_that_cannot_be_kept_are_taken_away_and_the_log_goes_on(tmp_path: Path) -> None:
    clock = Clock()
    told: list[str] = []
    log = ConsoleLog(tmp_path / "l", timed=True, clock=clock, tell=told.append)
    (tmp_path / "l.times").mkdir()
    await _say(log, clock, (1.0, b"one\n"))
    assert (tmp_path / "l").read_bytes() == b"one\n"
    assert len(told) == 1 and told[0].startswith(f"cannot keep the times of the console log {tmp_path / 'l'}: ")


async def test_a_link_in_place_of_the_times_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / "l.times").symlink_to(tmp_path / "precious")
    clock = Clock()
    await _say(ConsoleLog(tmp_path / "l", timed=True, clock=clock), clock, (1.0, b"one\n"))
    assert (tmp_path / "precious").read_bytes() == b"precious"
    assert (tmp_path / "l").read_bytes() == b"one\n"


async def test_too_many_times_that_wait_become_the_latest_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consoletimes, "MARKS_MAX", 2)
    marks = PendingMarks()
    for place in range(5):
        marks.note(place, 10 * place)
    assert marks.take() == [TimeMark(0, 0), TimeMark(1, 40)]
    assert marks.take() == []


async def test_a_part_begins_with_the_time_that_its_first_byte_has() -> None:
    marks = [TimeMark(0, 1), TimeMark(4, 2), TimeMark(9, 3)]
    assert list(part(marks, 0, 4)) == [TimeMark(0, 1)]
    assert list(part(marks, 2, 6)) == [TimeMark(0, 1), TimeMark(2, 2)]
    assert list(part(marks, 9, 20)) == [TimeMark(0, 3)]


async def test_zeros_that_a_crash_of_the_host_left_are_no_times(tmp_path: Path) -> None:
    clock = Clock()
    await _say(ConsoleLog(tmp_path / "l", timed=True, clock=clock), clock, (1.0, b"one\n"))
    with (tmp_path / "l.times").open("ab") as file:
        file.write(bytes(32))
    assert _times(tmp_path / "l.times").moment(4) == 1000
    await asyncio.sleep(0)
