"""Tests of insula.kernel.sealedfiles."""

import os

import pytest

from insula.kernel.fds import contents
from insula.kernel.sealedfiles import SealedFiles
from tests.descriptors import open_fds


def test_the_same_content_is_the_same_file_and_nobody_can_change_it() -> None:
    files = SealedFiles(2, 100)
    try:
        one = files.of("one", b"content")
        assert files.of("other", b"content") == one and contents(one) == b"content"
        for change in (lambda: os.pwrite(one, b"x", 0), lambda: os.ftruncate(one, 0), lambda: os.ftruncate(one, 99)):
            with pytest.raises(PermissionError):
                change()
    finally:
        files.close()


def test_only_the_latest_are_kept() -> None:
    before, files = open_fds(), SealedFiles(2, 100)
    one = files.of("file", b"1")
    files.of("file", b"2")
    assert files.of("file", b"1") == one
    files.of("file", b"3")
    assert files.of("file", b"1") == one and len(open_fds()) == len(before) + 2
    files.close()
    assert open_fds() == before


def test_no_more_bytes_are_kept_than_may_be_but_for_the_latest_two() -> None:
    before, files = open_fds(), SealedFiles(9, 100)
    small = files.of("file", b"small")
    large, larger = files.of("file", b"x" * 90), files.of("file", b"y" * 200)
    assert (contents(large), contents(larger)) == (b"x" * 90, b"y" * 200)
    assert len(open_fds()) == len(before) + 2 and small not in (large, larger)
    files.of("file", b"last")
    assert len(open_fds()) == len(before) + 2
    files.close()
    assert open_fds() == before
