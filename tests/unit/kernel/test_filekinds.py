"""Tests of insula.kernel.filekinds."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from insula.kernel.filekinds import FileKind, access_mode, is_path_only, kind_of
from insula.kernel.statx import cached_kind_of


@pytest.mark.parametrize("look", [kind_of, cached_kind_of])
def test_every_kind_is_told_apart(tmp_path: Path, look: Callable[[int], FileKind]) -> None:
    reader, writer = os.pipe()
    one, other = socket.socketpair()
    os.mkfifo(tmp_path / "fifo")
    opened = {
        reader: FileKind.PIPE,
        writer: FileKind.PIPE,
        os.open(tmp_path / "fifo", os.O_RDWR): FileKind.NAMED_PIPE,
        os.open(tmp_path, os.O_RDONLY): FileKind.DIRECTORY,
        os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT): FileKind.FILE,
        os.open("/dev/null", os.O_RDONLY): FileKind.NULL,
        os.open("/dev/zero", os.O_RDONLY): FileKind.DEVICE,
        os.open("/dev/null", os.O_PATH): FileKind.PATH,
        os.eventfd(0): FileKind.OTHER,
        os.dup(one.fileno()): FileKind.SOCKET,
    }
    assert {fd: look(fd) for fd in opened} == opened
    for each in opened:
        os.close(each)
    one.close()
    other.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        look(1000)


def test_the_way_it_was_opened_is_told() -> None:
    for mode in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR):
        fd = os.open(os.devnull, mode)
        assert access_mode(fd) == mode and not is_path_only(fd)
        os.close(fd)
