"""Tests of insula.kernel.statx; it tells the same as test_filekinds.py has it."""

import os
from pathlib import Path

from insula.kernel.filekinds import FileKind, kind_of
from insula.kernel.statx import cached_kind_of, cached_stamp_of


def test_what_the_kernel_knows_already_is_what_a_look_tells(tmp_path: Path) -> None:
    for path in ("/dev/null", "/dev/full", "/proc/self/stat", str(tmp_path), __file__):
        fd = os.open(path, os.O_RDONLY)
        assert cached_kind_of(fd) is kind_of(fd)
        os.close(fd)
    fd = os.open(tmp_path, os.O_PATH)
    assert cached_kind_of(fd) is FileKind.PATH
    os.close(fd)


def test_a_stamp_is_that_of_stat_and_changes_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("content")
    fd = os.open(path, os.O_PATH)
    try:
        found, meant = cached_stamp_of(fd), path.stat()
        assert (found.inode, found.size) == (meant.st_ino, 7)
        assert (found.changed, found.written) == (meant.st_ctime_ns, meant.st_mtime_ns)
        assert found.device == (os.major(meant.st_dev), os.minor(meant.st_dev))
        os.utime(path, (1, 2))
        assert cached_stamp_of(fd).written == 2 * 10**9
    finally:
        os.close(fd)
