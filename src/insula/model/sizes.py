"""Amounts of memory and sets of processors, as libvirt spells them."""

import re
from collections.abc import Iterable
from typing import NewType

Bytes = NewType("Bytes", int)
KiB = NewType("KiB", int)
CpuSet = NewType("CpuSet", frozenset[int])
"""Numbers of processors, or of NUMA nodes; never empty."""

UNSIGNED_LONG_MAX = 2**64 - 1
"""The largest number libvirt holds, and so the largest size in bytes."""

CPU_MAX = 65535
"""The largest processor number accepted: a cpuset is a bitmap, and a typing mistake must not make a huge one."""

_LETTERS = "kmgtpe"
_RANGE = re.compile(r"\s*(?:(?P<first>[0-9]{1,9})(?:-(?P<last>[0-9]{1,9}))?|\^(?P<without>[0-9]{1,9}))\s*\Z")


def unit_factor(unit: str) -> int:
    """Return how many bytes one of unit is: `b`, `bytes`, `k` and `KiB` (1024), `KB` (1000), up to `E`; in any case.

    Raises: ValueError for anything else. Source: libvirt's domain XML format, the unit attribute of memory.
    """
    word = unit.lower()
    if word in ("b", "byte", "bytes"):
        return 1
    power = _LETTERS.find(word[:1]) + 1
    if word and power:
        match word[1:]:
            case "" | "ib":
                return 1 << (10 * power)
            case "b":
                return int(1000**power)
    raise ValueError(f"'{unit}' is not a unit of size")


def bytes_of(number: int, unit: str) -> Bytes:
    """Return number times unit. Raises: ValueError for a bad unit, or when the result exceeds 64 bits."""
    total = number * unit_factor(unit)
    if not 0 <= total <= UNSIGNED_LONG_MAX:
        raise ValueError(f"{number} {unit} is more than 64 bits of bytes")
    return Bytes(total)


def kib_of(size: Bytes) -> KiB:
    """Return size in KiB, rounded up, as libvirt does with odd amounts of memory."""
    return KiB(-(-size // 1024))


def parse_cpuset(text: str) -> CpuSet:
    """Return the numbers in a list such as `0-3,^2,8`. A `^` takes away what stands before it.

    Raises: ValueError if malformed, empty, or a number exceeds CPU_MAX.
    """
    numbers: set[int] = set()
    for part in text.split(","):
        match = _RANGE.match(part)
        if match is None:
            raise ValueError(f"'{part}' is neither a number, nor a range, nor '^' and a number")
        if (without := match["without"]) is not None:
            numbers.discard(int(without))
            continue
        first = int(match["first"])
        last = int(match["last"] or first)
        if last < first:
            raise ValueError(f"the range '{part}' runs backwards")
        if last > CPU_MAX:
            raise ValueError(f"{last} is above the largest number, {CPU_MAX}")
        numbers.update(range(first, last + 1))
    if not numbers:
        raise ValueError(f"'{text}' holds no number at all")
    return CpuSet(frozenset(numbers))


def format_cpuset(cpus: Iterable[int]) -> str:
    """Return the shortest list without `^`, ascending: `0-1,3`. An empty set gives an empty text."""
    ranges: list[list[int]] = []
    for cpu in sorted(cpus):
        if ranges and ranges[-1][1] == cpu - 1:
            ranges[-1][1] = cpu
        else:
            ranges.append([cpu, cpu])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)
