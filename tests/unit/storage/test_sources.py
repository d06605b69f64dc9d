"""What a definition's sources name on the host."""

import os
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from insula.engine.spec import Access, IdMap, IdRange
from insula.errors import UnsupportedConfigError
from insula.model.filesystems import AccessMode, Filesystem, FilesystemSource, FilesystemType
from insula.model.scalars import FileMode
from insula.model.sizes import Bytes
from insula.storage.sources import (
    access_of,
    belongs_to,
    device_source,
    directory_source,
    file_source,
    refuse_ignored,
    tree_source,
)

TARGET = PurePosixPath("/srv")


def mounted(path: Path, *, read_only: bool = False) -> Filesystem:
    return Filesystem(source=FilesystemSource(directory=PurePosixPath(path)), target=TARGET, read_only=read_only)


def mapped(inside: int, outside: int, count: int) -> IdMap:
    whole = (IdRange(inside=inside, outside=outside, count=count),)
    return IdMap(uids=whole, gids=whole)


def test_read_only_is_an_access(tmp_path: Path) -> None:
    assert access_of(mounted(tmp_path)) is Access.READ_WRITE
    assert access_of(mounted(tmp_path, read_only=True)) is Access.READ_ONLY


def test_a_directory_and_where_it_may_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert directory_source(mounted(tmp_path)) == str(tmp_path)
    assert tree_source(mounted(tmp_path)) == str(tmp_path)
    assert tree_source(mounted(tmp_path / "file")) == str(tmp_path / "file")
    with pytest.raises(UnsupportedConfigError, match=f"file system '/srv': {tmp_path}/file is no directory"):
        directory_source(mounted(tmp_path / "file"))


def test_a_fifo_is_no_source(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(UnsupportedConfigError, match="no directory and no file"):
        tree_source(mounted(tmp_path / "fifo"))


def test_what_is_not_there_is_named_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedConfigError, match=r"file system '/srv': .*none cannot be used: No such file"):
        tree_source(mounted(tmp_path / "none"))


def test_files_and_devices(tmp_path: Path) -> None:
    (tmp_path / "disk.img").touch()
    source = FilesystemSource(file=PurePosixPath(tmp_path / "disk.img"), device=PurePosixPath("/dev/null"))
    filesystem = Filesystem(type=FilesystemType.FILE, source=source, target=TARGET)
    assert file_source(filesystem) == str(tmp_path / "disk.img")
    with pytest.raises(UnsupportedConfigError, match="/dev/null is no block device"):
        device_source(filesystem)


def test_a_tree_with_shifted_owners_is_known_by_its_top(tmp_path: Path) -> None:
    owner = tmp_path.stat().st_uid
    assert belongs_to(str(tmp_path), mapped(inside=owner + 1, outside=owner, count=1))
    assert not belongs_to(str(tmp_path), mapped(inside=0, outside=owner + 1, count=65536))
    assert not belongs_to(str(tmp_path), None)


def test_a_map_that_leaves_an_owner_as_it_is_tells_nothing(tmp_path: Path) -> None:
    assert not belongs_to(str(tmp_path), mapped(inside=0, outside=0, count=65536))


@pytest.mark.parametrize("mode", list(AccessMode))
def test_the_access_modes_of_virtual_machines_are_taken(tmp_path: Path, mode: AccessMode) -> None:
    source = FilesystemSource(directory=PurePosixPath(tmp_path))
    filesystem = Filesystem(source=source, target=TARGET, access_mode=mode)
    refuse_ignored(replace(filesystem, file_mode=FileMode(0o600), directory_mode=FileMode(0o700)))


def test_what_would_silently_not_happen_is_refused(tmp_path: Path) -> None:
    refuse_ignored(mounted(tmp_path))
    source = FilesystemSource(directory=PurePosixPath(tmp_path))
    for refused, word in (
        (Filesystem(source=source, target=TARGET, space_hard_limit=Bytes(1)), "<space_hard_limit>"),
        (Filesystem(source=source, target=TARGET, space_soft_limit=Bytes(1)), "<space_soft_limit>"),
    ):
        with pytest.raises(UnsupportedConfigError, match=word):
            refuse_ignored(refused)
