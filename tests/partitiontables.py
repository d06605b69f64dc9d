"""Partition tables made for tests, as fdisk and gdisk write them."""

import struct
import zlib
from collections.abc import Iterable, Sequence
from uuid import UUID

SECTOR = 512
EXT4 = (1080, b"\x53\xef")
"""Where an ext4 signs within its partition, and how."""


def table(entries: Sequence[tuple[int, int, int]], *, sectors: int, filesystems: Iterable[int] = ()) -> bytes:
    """Return a disk with a table of the older kind. entries: type, first sector, number of sectors; filesystems: the
    sectors at which an ext4 begins."""
    disk = bytearray(sectors * SECTOR)
    for place, (kind, first, size) in enumerate(entries):
        struct.pack_into("<4xB3xII", disk, 446 + 16 * place, kind, first, size)
    disk[510:512] = b"\x55\xaa"
    return signed(disk, filesystems)


def signed(disk: bytearray, filesystems: Iterable[int], *, sector: int = SECTOR) -> bytes:
    """Return a disk with ext4 at these sectors."""
    for first in filesystems:
        place = first * sector + EXT4[0]
        disk[place : place + 2] = EXT4[1]
    return bytes(disk)


def guid_table(
    entries: Sequence[tuple[str, int, int] | None],
    *,
    sectors: int,
    filesystems: Iterable[int] = (),
    sector: int = SECTOR,
) -> bytes:
    """Return a disk with a GPT. entries: type, first and last sector; None for one that is not used."""
    listed = bytearray(128 * 128)
    for place, entry in enumerate(entries):
        if entry is not None:
            kind, first, last = entry
            listed[place * 128 : place * 128 + 16] = UUID(kind).bytes_le
            struct.pack_into("<QQ", listed, place * 128 + 32, first, last)
    header = bytearray(sector)
    struct.pack_into("<8sIIII", header, 0, b"EFI PART", 0x10000, 92, 0, 0)
    struct.pack_into("<QIII", header, 72, 2, 128, 128, zlib.crc32(listed))
    struct.pack_into("<I", header, 16, zlib.crc32(header[:92]))
    disk = bytearray(sectors * sector)
    struct.pack_into("<4xB3xII", disk, 446, 0xEE, 1, sectors - 1)
    disk[510:512] = b"\x55\xaa"
    disk[sector : 2 * sector] = header
    disk[2 * sector : 2 * sector + len(listed)] = listed
    return signed(disk, filesystems, sector=sector)
