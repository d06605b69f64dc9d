"""Tests of insula.storage.partitiontable."""

import json
import struct
import subprocess
import zlib
from pathlib import Path, PurePosixPath

import pytest

from insula.errors import UnsupportedConfigError
from insula.model.filesystems import Filesystem, FilesystemSource
from insula.storage.partitiontable import Partition, partitions, place_in, root_partition
from tests.partitiontables import guid_table, table

LINUX = "0fc63daf-8483-4772-8e79-3d69d8477de4"
ROOT_X86_64 = "4f68bce3-e8cd-4db1-96e7-fbcaf984b709"
ROOT_AARCH64 = "b921b045-1df0-41c3-af44-4c6f280d3fae"
EFI = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
BOOT = "bc13c2ff-59e6-4262-a352-b275fd6f7172"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return tmp_path / "image"


def places(found: list[Partition]) -> list[tuple[int, int, int]]:
    return [(each.number, each.start // 512, each.size // 512) for each in found]


def test_what_has_no_table_has_no_partitions(image: Path) -> None:
    for content in (b"", b"text", bytes(4096)):
        image.write_bytes(content)
        assert partitions(str(image)) == []
        assert root_partition(str(image), "x86_64", None) is None


def test_partitions_of_the_older_table_and_of_its_chain_are_found(image: Path) -> None:
    disk = bytearray(table([(0x83, 8, 8), (0, 0, 0), (0x05, 32, 32)], sectors=64))
    for place, entries in ((32, [(0x83, 4, 4), (0x05, 16, 16)]), (48, [(0x82, 4, 8)])):
        disk[place * 512 : place * 512 + 512] = table(entries, sectors=1)
    image.write_bytes(disk)
    assert places(partitions(str(image))) == [(1, 8, 8), (5, 36, 4), (6, 52, 8)]


@pytest.mark.parametrize("sector", [512, 4096])
def test_partitions_of_a_gpt_are_found_whatever_the_size_of_its_sectors(image: Path, sector: int) -> None:
    image.write_bytes(guid_table([(LINUX, 40, 47), None, (EFI, 48, 50)], sectors=64, sector=sector))
    found = partitions(str(image))
    assert [(each.number, each.start, each.size) for each in found] == [
        (1, 40 * sector, 8 * sector),
        (3, 48 * sector, 3 * sector),
    ]


def test_the_root_is_the_partition_that_says_so_for_this_machine(image: Path) -> None:
    entries = [(BOOT, 40, 47), (ROOT_AARCH64, 48, 55), (ROOT_X86_64, 56, 63)]
    image.write_bytes(guid_table(entries, sectors=64, filesystems=[40, 48, 56]))
    for machine, number in (("x86_64", 3), ("aarch64", 2)):
        found = root_partition(str(image), machine, None)
        assert found is not None
        assert found.number == number


def test_the_root_is_the_only_partition_that_could_be(image: Path) -> None:
    image.write_bytes(guid_table([(EFI, 40, 43), (BOOT, 44, 47), (LINUX, 48, 55)], sectors=64, filesystems=[44, 48]))
    found = root_partition(str(image), "x86_64", None)
    assert found is not None
    assert (found.number, found.fstype) == (3, "ext4")


def test_what_is_not_clear_is_asked_for_with_what_there_is(image: Path) -> None:
    image.write_bytes(guid_table([(EFI, 36, 39), (LINUX, 40, 47), (LINUX, 48, 55)], sectors=64, filesystems=[40, 48]))
    clear = r"insula:partition; it has 1 \(the EFI system partition, .* 2 \(ext4, 0 MiB\)"
    with pytest.raises(ValueError, match=clear):
        root_partition(str(image), "x86_64", None)
    found = root_partition(str(image), "x86_64", 2)
    assert found is not None
    assert found.number == 2


@pytest.mark.parametrize(
    ("place", "value", "complaint"),
    [
        (512 + 72, b"\xff" * 8, "header of its partition table is damaged"),
        (1024 + 32, b"\x01", "entries of its partition table are damaged"),
    ],
)
def test_a_damaged_table_is_told(image: Path, place: int, value: bytes, complaint: str) -> None:
    disk = bytearray(guid_table([(LINUX, 40, 47)], sectors=64))
    disk[place : place + len(value)] = value
    image.write_bytes(disk)
    with pytest.raises(ValueError, match=complaint):
        partitions(str(image))


@pytest.mark.parametrize(
    "disk",
    [
        guid_table([(LINUX, 40, 1 << 40)], sectors=64),
        guid_table([(LINUX, 47, 40)], sectors=64),
        table([(0x83, 60, 8)], sectors=64),
        table([(0x83, 0, 8)], sectors=64),
    ],
    ids=["beyond the end", "backwards", "cut off", "over the table"],
)
def test_a_partition_lies_within_its_disk(image: Path, disk: bytes) -> None:
    image.write_bytes(disk)
    with pytest.raises(ValueError, match="partition 1 does not lie within it"):
        partitions(str(image))


def test_a_chain_that_goes_in_a_circle_ends(image: Path) -> None:
    disk = bytearray(table([(0x05, 32, 32)], sectors=64))
    disk[32 * 512 : 33 * 512] = table([(0x83, 4, 4), (0x05, 0, 16)], sectors=1)
    image.write_bytes(disk)
    assert places(partitions(str(image))) == [(5, 36, 4)]


def test_a_gpt_that_another_table_has_taken_the_place_of_is_none(image: Path) -> None:
    """As kernels see it: programs that write the older table only leave the GPT where it is."""
    disk = bytearray(guid_table([(LINUX, 40, 47)], sectors=64))
    disk[:512] = table([(0x83, 48, 8)], sectors=1)
    image.write_bytes(disk)
    assert places(partitions(str(image))) == [(1, 48, 8)]
    disk[:512] = bytes(512)
    image.write_bytes(disk)
    assert places(partitions(str(image))) == [(1, 40, 8)]


def test_what_cannot_be_read_is_named_with_the_file_system(tmp_path: Path) -> None:
    mounted = Filesystem(target=PurePosixPath("/srv"), source=FilesystemSource(partition=1))
    with pytest.raises(UnsupportedConfigError, match=r"file system '/srv' on .*: Is a directory"):
        place_in(mounted, str(tmp_path))


def test_a_gpt_that_is_cut_off_is_none_of_the_older_kind(image: Path) -> None:
    disk = bytearray(guid_table([(LINUX, 40, 47)], sectors=64))
    disk[512:520] = bytes(8)
    image.write_bytes(disk)
    with pytest.raises(ValueError, match="kind GPT, whose header is not there"):
        partitions(str(image))


@pytest.mark.requires("sfdisk")
@pytest.mark.parametrize("label", ["gpt", "dos"])
def test_sfdisk_and_we_see_the_same(image: Path, label: str) -> None:
    with image.open("wb") as file:
        file.truncate(16 << 20)
    script = f"label: {label}\nsize=2MiB\nsize=3MiB\n" + ("size=4MiB, type=5\nsize=1MiB\n" if label == "dos" else "")
    subprocess.run(["sfdisk", "--quiet", image], input=script, text=True, check=True)
    told = json.loads(subprocess.run(["sfdisk", "--json", image], capture_output=True, text=True, check=True).stdout)
    theirs = [
        (int(each["node"].removeprefix(str(image))), each["start"], each["size"])
        for each in told["partitiontable"]["partitions"]
        if each["type"] != "5"
    ]
    assert places(partitions(str(image))) == theirs
    assert len(theirs) == (3 if label == "dos" else 2)


def test_a_table_of_absurd_size_is_refused(image: Path) -> None:
    disk = bytearray(guid_table([], sectors=64))
    struct.pack_into("<I", disk, 512 + 80, 1 << 30)
    struct.pack_into("<I", disk, 512 + 16, 0)
    struct.pack_into("<I", disk, 512 + 16, zlib.crc32(disk[512 : 512 + 92]))
    image.write_bytes(disk)
    with pytest.raises(ValueError, match="which nobody makes"):
        partitions(str(image))


@pytest.mark.parametrize("size", [520, 600, 1023])
def test_an_image_that_ends_within_the_header_is_told_to_be_cut_off(image: Path, size: int) -> None:
    image.write_bytes((bytes(512) + b"EFI PART" + bytes(1024))[:size])
    with pytest.raises(ValueError, match="cut off"):
        partitions(str(image))
