"""Tests of insula.kernel.statx; it tells the same as test_filekinds.py has it."""

import os
from pathlib import Path

from insula.kernel.filekinds import FileKind, kind_of
from insula.kernel.statx import cached_kind_of


def test_what_the_kernel_knows_already_is_what_a_look_tells(tmp_path: Path) -> None:
    for path in ("/dev/null", "/dev/full", "/proc/self/stat", str(tmp_path), __file__):
        fd = os.open(path, os.O_RDONLY)
        assert cached_kind_of(fd) is kind_of(fd)
        os.close(fd)
    fd = os.open(tmp_path, os.O_PATH)
    assert cached_kind_of(fd) is FileKind.PATH
    os.close(fd)
