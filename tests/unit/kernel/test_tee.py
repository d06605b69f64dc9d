"""Tests of insula.kernel.tee."""

import os

import pytest

from insula.kernel.tee import NONBLOCK, tee


def test_a_copy_leaves_what_it_copies_and_never_waits() -> None:
    source, target = os.pipe(), os.pipe()
    with pytest.raises(BlockingIOError):
        tee(source[0], target[1], 10, NONBLOCK)
    os.write(source[1], b"text")
    assert tee(source[0], target[1], 10, NONBLOCK) == 4
    assert os.read(source[0], 10) == os.read(target[0], 10) == b"text"
    for each in (*source, *target):
        os.close(each)
