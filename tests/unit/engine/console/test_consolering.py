"""The latest output of a console outlives the process that read it, as far as its file does."""

import logging
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula.engine.console.consolering import RING_BYTES, ConsoleRing, kept, news


def test_every_byte_is_in_the_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "console0"
    ring = ConsoleRing(path)
    assert kept(path) == b""
    ring.append(b"login: ")
    assert kept(path) == b"login: "
    ring.append(b"root\r\n")
    assert kept(path) == ring.latest() == b"login: root\r\n"
    ring.close()
    assert kept(path) == b"login: root\r\n"
    assert path.stat().st_mode & 0o777 == 0o600


@given(st.lists(st.integers(1, RING_BYTES * 3), min_size=1, max_size=12))
def test_the_latest_are_kept_and_the_file_stays_small(sizes: list[int]) -> None:
    stream = b"".join(bytes([number + 1]) * size for number, size in enumerate(sizes))
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "console0"
        ring = ConsoleRing(path)
        at = 0
        for size in sizes:
            ring.append(stream[at : at + size])
            at += size
            found = kept(path)
            assert found is not None
            assert stream[:at].endswith(found)
            assert min(at, RING_BYTES) <= len(found) <= 2 * RING_BYTES
            assert ring.latest() == stream[:at][-RING_BYTES:]
        ring.close()


def test_a_successor_goes_on_with_what_it_found_and_a_new_run_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "console0"
    first = ConsoleRing(path)
    first.append(b"one ")
    second = ConsoleRing(path, kept(path) or b"")
    second.append(b"two")
    assert kept(path) == second.latest() == b"one two"
    ConsoleRing(path).close()
    assert kept(path) == b""


def test_without_a_file_memory_serves(tmp_path: Path) -> None:
    ring = ConsoleRing(None, b"a")
    ring.append(b"b")
    assert ring.latest() == b"ab"
    ring.close()
    assert kept(tmp_path / "console0") is None


def test_a_file_that_cannot_be_written_is_told_once_and_not_left_with_a_gap(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ring = ConsoleRing(tmp_path / "gone" / "console0")
    ring.append(b"a" * RING_BYTES * 3)
    assert ring.latest() == b"a" * RING_BYTES
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


@given(st.binary(max_size=300), st.integers(0, 300), st.integers(1, 300))
def test_news_are_what_the_log_lacks(stream: bytes, written: int, kept_of_it: int) -> None:
    logged = stream[:written][-kept_of_it:]
    lacking = news(stream, logged)
    assert stream.endswith(lacking)
    if logged:
        # What is said twice may be taken for said once; never is anything written twice that was said once.
        assert len(lacking) <= len(stream[written:])
    else:
        assert lacking == b""


def test_a_log_that_does_not_meet_what_was_said_is_left_as_it_is() -> None:
    assert news(b"hello", b"something else") == b""
    assert news(b"", b"something") == b""
    assert news(b"0123456789 and on", b"an older run\n0123456789") == b""  # too little in common to be sure
    assert news(b"y" * 100 + b" and on", b"an older run\n" + b"y" * 100) == b" and on"
    assert news(b"x" * 200 + b"end", b"x" * 100) == b"end"
