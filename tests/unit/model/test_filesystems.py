from pathlib import PurePosixPath

import pytest

from insula.model.filesystems import AccessMode, Disk, DiskType, Filesystem, FilesystemSource, FilesystemType
from insula.model.sizes import KiB
from insula.model.xmlreader import load
from insula.model.xmlwriter import dump


def filesystem(attributes: str, source: str, rest: str = "") -> Filesystem:
    return load(
        Filesystem, "filesystem", f"<filesystem{attributes}><source {source}/><target dir='/x'/>{rest}</filesystem>"
    )


@pytest.mark.parametrize(
    ("kind", "source", "field", "value"),
    [
        ("mount", "dir='/srv'", "directory", PurePosixPath("/srv")),
        ("bind", "dir='/srv'", "directory", PurePosixPath("/srv")),
        ("template", "name='debian-12'", "name", "debian-12"),
        ("file", "file='/a.img'", "file", PurePosixPath("/a.img")),
        ("block", "dev='/dev/sda'", "device", PurePosixPath("/dev/sda")),
        ("ram", "usage='2' units='MiB'", "usage", KiB(2048)),
        ("volume", "pool='p' volume='v'", "volume", "v"),
    ],
)
def test_each_type_has_its_source(kind: str, source: str, field: str, value: object) -> None:
    read = filesystem(f" type='{kind}'", source)
    assert read.type == FilesystemType(kind)
    assert getattr(read.source, field) == value


def test_a_file_system_is_a_mount_carried_over_as_it_is_unless_told_otherwise() -> None:
    read = filesystem("", "dir='/srv'")
    assert (read.type, read.access_mode, read.read_only, read.is_root) == (
        FilesystemType.MOUNT,
        AccessMode.PASSTHROUGH,
        False,
        False,
    )


def test_limits_are_bytes_and_modes_are_octal() -> None:
    read = filesystem(" fmode='640' dmode='0750'", "dir='/srv'", "<space_hard_limit unit='k'>3</space_hard_limit>")
    assert (read.file_mode, read.directory_mode, read.space_hard_limit) == (0o640, 0o750, 3072)
    assert "<space_hard_limit unit='bytes'>3072</space_hard_limit>" in dump(read, "filesystem")
    assert "fmode='0640'" in dump(read, "filesystem")


def test_the_one_at_the_slash_is_the_root() -> None:
    assert Filesystem(source=FilesystemSource(), target=PurePosixPath("/")).is_root


def test_a_disk_has_a_source_by_its_type_and_a_name_in_the_guest() -> None:
    disk = load(Disk, "disk", "<disk type='file'><source file='/a'/><target dev='sda' bus='scsi'/><readonly/></disk>")
    assert (disk.type, disk.target.device, disk.read_only) == (DiskType.FILE, "sda", True)


def test_the_mapping_of_owners_can_be_switched_off_for_one_mount() -> None:
    ours = "xmlns:insula='https://insula.dev/xmlns/domain/1'"
    xml = f"<filesystem type='mount' {ours} insula:idmap='off'><source dir='/nfs'/><target dir='/data'/></filesystem>"
    read = load(Filesystem, "filesystem", xml)
    assert not read.is_mapped
    assert "insula:idmap='off'" in dump(read, "filesystem")
    assert load(Filesystem, "filesystem", xml.replace(" insula:idmap='off'", "")).is_mapped
