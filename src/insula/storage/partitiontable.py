"""What the partition table of a disk's image says: GPT, or the older one of the first sector.

What is read may be hostile: every number is bounded, and every place lies within the image.
Source: UEFI specification, "GUID Partition Table (GPT) Disk Layout"; the Discoverable Partitions Specification.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from insula.errors import UnsupportedConfigError
from insula.kernel.loopdevices import filesystem_on, is_block_device, sector_size
from insula.model.filesystems import PARTITION_MAX, Filesystem

_SECTORS = (512, 4096)
"""What a sector may have, in bytes: that of the disk which was copied."""
_GPT_MAGIC = b"EFI PART"
_ENTRY_SIZES = range(128, 4097, 128)
_MBR_MAGIC = b"\x55\xaa"
_MBR_PLACE, _MBR_ENTRIES = 446, 4
_EXTENDED = {0x05, 0x0F, 0x85}
_PROTECTIVE = 0xEE
_LOGICAL_FIRST = 5

_ROOTS = {
    UUID("4f68bce3-e8cd-4db1-96e7-fbcaf984b709"): "x86_64",
    UUID("b921b045-1df0-41c3-af44-4c6f280d3fae"): "aarch64",
}
"""The types of partitions that hold a root, and for which machines."""
_OTHERS = {
    UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b"): "the EFI system partition",
    UUID("21686148-6449-6e6f-744e-656564454649"): "for a boot loader",
    UUID("0657fd6d-a4ab-43c4-84e5-0933c84b4f4f"): "swap",
    UUID("bc13c2ff-59e6-4262-a352-b275fd6f7172"): "/boot",
    UUID("933ac7e1-2eb4-4f13-b844-0e14e2aef915"): "/home",
    UUID("3b8f8425-20e0-4f3b-907f-1a25a76f98e8"): "/srv",
    UUID("4d21b016-b534-45c2-a9fb-5c16e091fd2d"): "/var",
    UUID("7ec6f557-3bc5-4aca-b293-16ef5df639d1"): "/var/tmp",
}
"""The types of partitions that say what else they are for."""
_NO_ROOTS = {"vfat", "iso9660"}
"""File systems that cannot hold a root."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Partition:
    """One entry. start, size: bytes; type: of GPT only; fstype: of the file system on it, None if none is known."""

    number: int
    start: int
    size: int
    type: UUID | None = None
    fstype: str | None = None

    def __str__(self) -> str:
        known = _OTHERS.get(self.type) if self.type is not None else None
        return f"{self.number} ({known or self.fstype or 'no file system known to us'}, {self.size >> 20} MiB)"

    @property
    def may_be_root(self) -> bool:
        """Whether it has a file system that can hold a root, and is not said to be for something else."""
        return self.fstype is not None and self.fstype not in _NO_ROOTS and self.type not in _OTHERS

    def is_root_of(self, machine: str) -> bool:
        """Whether it is said to hold the root for such a machine, as `uname -m` names it."""
        return self.type is not None and _ROOTS.get(self.type) == machine


def partitions(path: str) -> list[Partition]:
    """Return the partitions of a block device or an image file, empty if it has no table.

    Raises: OSError; ValueError that says what is wrong with the table.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        end = os.lseek(fd, 0, os.SEEK_END)
        found = list(_gpt(fd, end) if _has_gpt(fd) else _mbr(fd, end, path))
    finally:
        os.close(fd)
    return [
        Partition(
            number=each.number,
            start=each.start,
            size=each.size,
            type=each.type,
            fstype=filesystem_on(path, start=each.start, size=each.size),
        )
        for each in found
    ]


def root_partition(path: str, machine: str, number: int | None) -> Partition | None:
    """Return the partition that holds the root, None if the whole device or file is to be taken.

    machine: as `uname -m`; number: of the one that is wanted, None for the one that the table says it is, or the only
    one that could be. Raises: OSError; ValueError that says what there is.
    """
    if number is None and filesystem_on(path) is not None:
        return None
    found = partitions(path)
    if not found and number is None:
        return None  # its mount tells that nothing known is on it
    there = f"it has {', '.join(map(str, found))}" if found else "it has no partition table"
    if number is not None:
        chosen = [each for each in found if each.number == number]
        if not chosen:
            raise ValueError(f"there is no partition {number}: {there}")
        return chosen[0]
    chosen = [each for each in found if each.is_root_of(machine)] or [each for each in found if each.may_be_root]
    if len(chosen) != 1:
        raise ValueError(f"which partition holds the root is not clear: name it by insula:partition; {there}")
    return chosen[0]


def place_in(filesystem: Filesystem, source: str) -> tuple[int, int]:
    """Return where on a device or in a file the file system is that a definition means: start and size in bytes.

    A size of 0 is all that follows. Raises: UnsupportedConfigError that says what there is.
    """
    try:
        found = root_partition(source, os.uname().machine, filesystem.source.partition)
    except (ValueError, OSError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise UnsupportedConfigError(f"file system '{filesystem.target}' on {source}: {why}") from error
    return (0, 0) if found is None else (found.start, found.size)


def _has_gpt(fd: int) -> bool:
    """Whether the table is a GPT: what an older table leaves to it, or one that has nothing, as kernels have it."""
    kinds = {kind for kind, _, _ in _entries(fd, 0) if kind}
    return (not kinds or _PROTECTIVE in kinds) and any(os.pread(fd, 8, size) == _GPT_MAGIC for size in _SECTORS)


def _gpt(fd: int, end: int) -> Iterator[Partition]:
    sector = next(size for size in _SECTORS if os.pread(fd, 8, size) == _GPT_MAGIC)
    header = os.pread(fd, sector, sector)
    if len(header) < sector:
        raise ValueError("its partition table ends in the header: the image is cut off")
    size, checksum = struct.unpack_from("<II", header, 12)
    place, number, entry_size, entries_checksum = struct.unpack_from("<QIII", header, 72)
    if not 92 <= size <= sector or zlib.crc32(header[:16] + bytes(4) + header[20:size]) != checksum:
        raise ValueError("the header of its partition table is damaged: gdisk or sgdisk can mend it by the copy")
    if not 0 < number <= PARTITION_MAX or entry_size not in _ENTRY_SIZES:
        raise ValueError(f"its partition table has {number} entries of {entry_size} bytes, which nobody makes")
    entries = os.pread(fd, number * entry_size, place * sector) if place * sector < end else b""
    if len(entries) != number * entry_size or zlib.crc32(entries) != entries_checksum:
        raise ValueError("the entries of its partition table are damaged: gdisk or sgdisk can mend them by the copy")
    for each in range(number):
        entry = entries[each * entry_size : (each + 1) * entry_size]
        kind = UUID(bytes_le=entry[:16])
        if kind.int:
            first, last = struct.unpack_from("<QQ", entry, 32)
            yield _placed(each + 1, first * sector, (last - first + 1) * sector, end, kind)


def _mbr(fd: int, end: int, path: str) -> Iterator[Partition]:
    # Sectors are of 512 bytes, but on a device that has others.
    sector = 512 if not is_block_device(path) else sector_size(fd)
    extended = None
    for place, (kind, first, size) in enumerate(_entries(fd, 0), start=1):
        if kind == _PROTECTIVE:
            raise ValueError("it has a partition table of the kind GPT, whose header is not there")
        if kind in _EXTENDED:
            extended = first
        elif kind:
            yield _placed(place, first * sector, size * sector, end, None)
    if extended is not None:
        yield from _logical(fd, end, sector, extended)


def _logical(fd: int, end: int, sector: int, extended: int) -> Iterator[Partition]:
    """The partitions of a chain, each of whose tables names one of them, and the next table."""
    place = extended
    for number in range(_LOGICAL_FIRST, PARTITION_MAX):
        entries = _entries(fd, place * sector)
        following = None
        for kind, first, size in entries[:2]:
            if kind in _EXTENDED:
                following = extended + first
            elif kind:
                yield _placed(number, (place + first) * sector, size * sector, end, None)
        if following is None or following <= place:
            return
        place = following


def _entries(fd: int, place: int) -> list[tuple[int, int, int]]:
    """Return type, first sector and number of sectors of what a table of the older kind names."""
    table = os.pread(fd, 512, place)
    if len(table) != 512 or table[510:] != _MBR_MAGIC:
        return []
    found = (struct.unpack_from("<4xB3xII", table, _MBR_PLACE + 16 * each) for each in range(_MBR_ENTRIES))
    return [(kind, first, size) for kind, first, size in found]


def _placed(number: int, start: int, size: int, end: int, kind: UUID | None) -> Partition:
    if size <= 0 or start <= 0 or start + size > end:
        raise ValueError(f"its partition {number} does not lie within it: the image is cut off, or the table damaged")
    return Partition(number=number, start=start, size=size, type=kind)
