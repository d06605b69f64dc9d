"""Tests of insula.engine.steps.guest.channelports."""

import errno
import os
from pathlib import Path

import pytest

from insula.engine.steps.guest.channelports import MakeChannels
from insula.engine.steps.guest.terminals import MakeConsoles
from insula.kernel.fds import Fd
from insula.kernel.pty import is_hung_up
from tests.unit.engine.steps.guest.performing import guest, perform
from tests.unit.engine.steps.guest.test_terminals import in_root


def test_a_channel_passes_every_byte_and_tells_whether_it_is_open(tmp_path: Path) -> None:
    def make(root: Fd) -> None:
        us = guest(below=root)
        perform(us, MakeConsoles(why="test", count=1))
        perform(us, MakeChannels(why="test", names=("a", "b.c"), terminals=1))
        assert len(us.terminals) == 3
        for master, name in zip(us.terminals[1:], ("a", "b.c"), strict=True):
            assert is_hung_up(master)
            port = os.open(f"{tmp_path}/dev/virtio-ports/{name}", os.O_RDWR | os.O_NOCTTY)
            assert not is_hung_up(master)
            every = bytes(range(256))
            os.write(port, every)
            assert os.read(master, 256) == every
            os.write(master, every)
            assert os.read(port, 256) == every
            os.set_blocking(master, False)
            with pytest.raises(BlockingIOError):
                os.read(master, 1)  # no echo
            os.close(port)
            assert is_hung_up(master)

    in_root(tmp_path, make)


def test_terminals_that_somebody_else_opened_are_none_of_ours(tmp_path: Path) -> None:
    def make(root: Fd) -> None:
        perform(guest(below=root), MakeChannels(why="test", names=("a",), terminals=1))

    with pytest.raises(OSError, match="somebody else") as caught:
        in_root(tmp_path, make)
    assert caught.value.errno == errno.EEXIST
