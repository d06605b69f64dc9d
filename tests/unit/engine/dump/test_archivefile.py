"""A dump is at its place once it is whole, and nobody's but its owner's."""

import errno
import os
import stat
from pathlib import Path

import pytest

from insula.engine.dump.archivefile import SUFFIX, ArchiveFile


def test_a_file_that_is_kept_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    place = tmp_path / "web.dump"
    place.write_text("old")
    place.chmod(0o644)
    file = ArchiveFile.begin(str(place))
    os.write(file.fd, b"new")
    assert place.read_text() == "old"
    file.keep()
    file.close()
    assert place.read_text() == "new" and stat.S_IMODE(place.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["web.dump"]


def test_a_file_that_is_dropped_leaves_what_was_there(tmp_path: Path) -> None:
    place = tmp_path / "web.dump"
    place.write_text("old")
    file = ArchiveFile.begin(str(place))
    file.drop()
    file.close()
    assert place.read_text() == "old" and os.listdir(tmp_path) == ["web.dump"]


def test_what_a_daemon_that_died_left_half_is_replaced(tmp_path: Path) -> None:
    (tmp_path / f"web.dump{SUFFIX}").write_text("half of it")
    file = ArchiveFile.begin(str(tmp_path / "web.dump"))
    assert os.fstat(file.fd).st_size == 0
    file.drop()
    file.close()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("path", "number"), [("relative", errno.EINVAL), ("/", errno.EINVAL), ("/dev/null", errno.EEXIST)]
)
def test_a_dump_goes_into_a_file_of_its_own(path: str, number: int) -> None:
    with pytest.raises(OSError, match=r"no absolute path|something else") as refused:
        ArchiveFile.begin(path)
    assert refused.value.errno == number


def test_no_link_is_followed(tmp_path: Path) -> None:
    aim = tmp_path / "aim"
    aim.write_text("mine")
    (tmp_path / f"web.dump{SUFFIX}").symlink_to(aim)
    file = ArchiveFile.begin(str(tmp_path / "web.dump"))
    os.write(file.fd, b"theirs")
    file.keep()
    file.close()
    assert aim.read_text() == "mine"


def test_a_dump_that_is_being_written_is_not_replaced_by_another(tmp_path: Path) -> None:
    place = tmp_path / "web.dump"
    first = ArchiveFile.begin(str(place))
    os.write(first.fd, b"whole")
    with pytest.raises(OSError, match="another dump is being written there") as refused:
        ArchiveFile.begin(str(place))
    assert refused.value.errno == errno.EBUSY
    first.keep()
    first.close()
    assert place.read_bytes() == b"whole" and os.listdir(tmp_path) == ["web.dump"]


def test_a_dump_whose_name_cannot_be_synced_is_there_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    file = ArchiveFile.begin(str(tmp_path / "web.dump"))
    monkeypatch.setattr(os, "fsync", refused)
    file.keep()
    file.close()
    assert os.listdir(tmp_path) == ["web.dump"] and "may not be on the disk yet: Input/output error" in caplog.text
