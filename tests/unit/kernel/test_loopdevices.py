"""Tests of insula.kernel.loopdevices, as far as they need no privilege."""

import ctypes
from pathlib import Path

import pytest

from insula.kernel import loopdevices
from insula.kernel.loopdevices import filesystem_on, is_block_device, loop_device


@pytest.mark.parametrize(
    ("fstype", "offset", "magic"),
    [
        ("ext4", 1080, b"\x53\xef"),
        ("xfs", 0, b"XFSB"),
        ("btrfs", 65600, b"_BHRfS_M"),
        ("squashfs", 0, b"hsqs"),
        ("erofs", 1024, b"\xe2\xe1\xf5\xe0"),
        ("iso9660", 32769, b"CD001"),
        ("f2fs", 1024, b"\x10\x20\xf5\xf2"),
        ("vfat", 82, b"FAT32   "),
    ],
)
def test_a_file_system_is_known_by_its_signature(tmp_path: Path, fstype: str, offset: int, magic: bytes) -> None:
    image = tmp_path / "image"
    image.write_bytes(bytes(offset) + magic + bytes(100))
    assert filesystem_on(str(image)) == fstype


@pytest.mark.parametrize("content", [b"", b"text", bytes(100_000)])
def test_what_has_no_signature_is_no_file_system(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "image").write_bytes(content)
    assert filesystem_on(str(tmp_path / "image")) is None


def test_two_bytes_of_a_boot_loader_are_no_file_system(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(b"\xeb\x63" * 540 + b"\x53\xef" + b"\x90" * 4096)
    assert filesystem_on(str(image)) is None


def test_what_lies_behind_a_partition_is_not_on_it(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(bytes(65600) + b"_BHRfS_M" + bytes(100))
    assert filesystem_on(str(image), size=65608) == "btrfs"
    assert filesystem_on(str(image), size=65607) is None


def test_only_block_devices_are_block_devices(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert not is_block_device(str(tmp_path / "file"))
    assert not is_block_device("/dev/null")


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="missing"):
        loop_device(str(tmp_path / "missing"), read_only=True)


def test_the_structures_have_the_kernels_sizes() -> None:
    # linux/loop.h: struct loop_info64, struct loop_config.
    assert ctypes.sizeof(loopdevices._Information) == 232
    assert ctypes.sizeof(loopdevices._Configuration) == 304
