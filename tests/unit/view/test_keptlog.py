"""A guest's kernel log, read beside the view that writes it."""

import os
import threading
import time
from collections.abc import Iterator

import pytest

from insula.view.keptcells import KeptCells
from insula.view.keptlog import KeptLog
from insula.view.messagering import MessageRing
from insula.view.viewedfiles import KEPT_BYTES


@pytest.fixture
def memory() -> Iterator[int]:
    fd = os.memfd_create("kept")
    os.ftruncate(fd, KEPT_BYTES)
    yield fd
    os.close(fd)


def test_a_line_has_the_guests_clock_before_it_and_a_moment(memory: int) -> None:
    ring = MessageRing(KeptCells(memory).log)
    now = time.clock_gettime(time.CLOCK_MONOTONIC)
    ring.append(6, int((now + 3600) * 1_000_000), b"two\nlines")
    ring.append(6, 12_345_678, b"early")
    first, second = KeptLog(memory, boottime=3600).lines()
    assert first.text.endswith(b"] two\\nlines\n")
    assert first.moment == pytest.approx(time.time(), abs=30)
    assert second.text == b"[   12.345678] early\n"


def test_only_what_is_new_is_asked_for(memory: int) -> None:
    ring = MessageRing(KeptCells(memory).log)
    for index in range(5):
        ring.append(6, 0, b"%d" % index)
    assert [each.sequence for each in KeptLog(memory).lines(3)] == [3, 4]
    assert KeptLog(memory).lines(5) == []


def test_who_follows_it_reads_no_record_while_there_is_no_more(memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    ring, log = MessageRing(KeptCells(memory).log), KeptLog(memory)
    for _ in range(9000):  # more than there is room for
        ring.append(6, 0, b"")
    monkeypatch.setattr(log.__class__, "_records", lambda _self: pytest.fail("records were read"))
    assert log.lines(ring.next) == []
    monkeypatch.undo()
    ring.append(6, 0, b"more")
    assert [each.text[-5:] for each in log.lines(ring.next - 1)] == [b"more\n"]


def test_before_any_view_was_there_it_is_empty(memory: int) -> None:
    assert KeptLog(memory).lines() == []


def test_whoever_writes_meanwhile_only_takes_the_oldest(memory: int) -> None:
    ring = MessageRing(KeptCells(memory).log)
    ring.append(6, 0, b"0" * 500)
    over = threading.Event()

    def write() -> None:
        while not over.is_set():
            ring.append(6, 0, str(ring.next % 10).encode() * 500)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(50):
            lines = KeptLog(memory).lines()
            assert [each.sequence for each in lines] == list(range(lines[0].sequence, lines[-1].sequence + 1))
            for each in lines:
                assert each.text == b"[    0.000000] %s\n" % (str(each.sequence % 10).encode() * 500)
    finally:
        over.set()
        writer.join()
