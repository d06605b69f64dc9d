"""The records of a guest's kernel log: whole whatever happens, the oldest gone first."""

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insula.view.messagering import TEXT_MAX, LogRecord, MessageRing
from tests.examples import FEW, examples


def ring(size: int = 4096) -> tuple[MessageRing, bytearray]:
    memory = bytearray(size)
    return MessageRing(memoryview(memory)), memory


def reread(memory: bytearray) -> MessageRing:
    return MessageRing(memoryview(bytearray(memory)))


def test_a_record_reads_as_the_kernels_do() -> None:
    record = LogRecord(priority=12, sequence=7, moment=1_234_567, text=b"a\\b\tc\xc3\xa9\n")
    assert record.line() == b"12,7,1234567,-;a\\x5cb\\x09c\\xc3\\xa9\\x0a\n"


def test_records_are_numbered_without_gaps() -> None:
    log, _ = ring()
    for index in range(3):
        log.append(6, index, b"line %d" % index)
    assert [(each.sequence, each.text) for each in log.records()] == [(0, b"line 0"), (1, b"line 1"), (2, b"line 2")]
    assert log.at(3) is None


def test_the_oldest_make_room() -> None:
    log, _ = ring(1024)
    for index in range(200):
        log.append(6, index, b"number %03d" % index)
    kept = list(log.records())
    assert kept[-1].text == b"number 199"
    assert [each.sequence for each in kept] == list(range(log.first, 200))
    assert len(kept) > 20
    assert log.at(log.first - 1) is None


def test_a_text_is_cut() -> None:
    log, _ = ring(8192)
    log.append(6, 0, b"x" * 5000)
    assert [len(each.text) for each in log.records()] == [TEXT_MAX]


def test_what_was_cleared_away_is_known_to_the_next() -> None:
    log, memory = ring()
    log.append(6, 0, b"old")
    log.clear()
    assert reread(memory).cleared == 1


LENGTHS = st.lists(st.integers(0, 300), max_size=60)


@settings(max_examples=examples(FEW))
@given(LENGTHS, st.integers(1600, 3000))
def test_the_next_view_reads_the_same_after_every_record(lengths: list[int], size: int) -> None:
    log, memory = ring(size)
    told: deque[LogRecord] = deque()
    for index, length in enumerate(lengths):
        told.append(log.append(6, index, bytes([65 + index % 26]) * length))
        now = list(log.records())
        assert now == list(told)[-len(now) :]
        assert list(reread(memory).records()) == now


class _KilledError(Exception):
    """The process was killed."""


@settings(max_examples=examples(FEW))
@given(LENGTHS, st.integers(0, 150))
def test_a_kill_at_any_head_leaves_what_was_there_before_or_after(lengths: list[int], killed_at: int) -> None:
    memory = bytearray(1600)
    log = MessageRing(memoryview(memory))
    commit = log._commit
    left = killed_at
    before: list[LogRecord] = []

    def commit_or_die() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise _KilledError
        commit()

    log._commit = commit_or_die  # type: ignore[method-assign]
    try:
        for index, length in enumerate(lengths):
            before = list(log.records())
            log.append(6, index, bytes([65 + index % 26]) * length)
    except _KilledError:
        found = list(reread(memory).records())
        assert found == before[len(before) - len(found) :]


@pytest.mark.parametrize("garbage", [b"\xff" * 4096, bytes(range(256)) * 16])
def test_nonsense_is_an_empty_log(garbage: bytes) -> None:
    log = MessageRing(memoryview(bytearray(garbage)))
    assert list(log.records()) == []
    log.append(6, 0, b"again")
    assert [each.text for each in log.records()] == [b"again"]
