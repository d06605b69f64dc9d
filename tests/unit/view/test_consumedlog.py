"""A guest's own /proc/kmsg."""

import os

import pytest

from insula.view.consumedlog import ConsumedLog
from insula.view.keptcells import KeptCells
from insula.view.messagering import MessageRing
from insula.view.viewedfiles import WOULD_BLOCK, StreamWriter


def log() -> tuple[ConsumedLog, MessageRing, KeptCells]:
    kept = KeptCells(None)
    ring = MessageRing(kept.log)
    return ConsumedLog(ring, kept), ring, kept


def test_each_record_is_given_once_to_whoever_reads_first() -> None:
    stream, ring, kept = log()
    ring.append(6, 1_500_000, b"one")
    ring.append(12, 2_500_000, b"two\nlines")
    stream.open()
    assert stream.readable(None)
    assert stream.read(None, 8192) == b"<6>[    1.500000] one\n<12>[    2.500000] two\n<12>[    2.500000] lines\n"
    assert not stream.readable(None)
    assert stream.read(None, 8192) is WOULD_BLOCK
    ring.append(6, 0, b"three")
    successor = ConsumedLog(MessageRing(kept.log), kept)
    assert successor.read(None, 8192) == b"<6>[    0.000000] three\n"


def test_only_whole_records_are_given_unless_the_first_does_not_fit() -> None:
    stream, ring, _ = log()
    ring.append(6, 0, b"a")
    ring.append(6, 0, b"b")
    assert stream.read(None, 25) == b"<6>[    0.000000] a\n"
    assert stream.read(None, 5) == b"<6>[ "
    assert stream.read(None, 25) is WOULD_BLOCK


def test_what_is_overwritten_is_passed_over() -> None:
    stream, ring, _ = log()
    for index in range(10_000):
        ring.append(6, 0, b"record %d" % index)
    first = stream.read(None, 60)
    assert isinstance(first, bytes)
    assert first.endswith(b"record %d\n" % (ring.first + 1))


def test_it_is_not_written_and_has_no_places() -> None:
    stream, _, _ = log()
    with pytest.raises(OSError, match="Input/output error"):
        stream.write(None, b"x", StreamWriter(pid=1, uid=0))
    assert stream.seek(None, 0, os.SEEK_END) == 0
    stream.close(None)
