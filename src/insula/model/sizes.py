"""Amounts of memory and sets of processors, as libvirt spells them."""

import re
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from typing import NewType

Bytes = NewType("Bytes", int)
KiB = NewType("KiB", int)

UNLIMITED_KIB = KiB(9007199254740991)
"""What libvirt says for no limit of memory. Source: VIR_DOMAIN_MEMORY_PARAM_UNLIMITED in its public domain header."""

UNSIGNED_LONG_MAX = 2**64 - 1
"""The largest number libvirt holds, and so the largest size in bytes."""

CPU_MAX = 16383
"""The largest processor number accepted: libvirt's maps of processors have 2048 bytes on the wire."""

CPUSET_MAX = 6 * (CPU_MAX + 1)
"""Characters of a list of processors: every second one, each with its comma, takes half of that."""

_RUN = re.compile("1+")
_LETTERS = "kmgtpe"
_RANGE = re.compile(r"\s*(?:(?P<first>[0-9]{1,9})(?:-(?P<last>[0-9]{1,9}))?|\^(?P<without>[0-9]{1,9}))\s*\Z")


class CpuSet(AbstractSet[int]):
    """Numbers of processors, or of NUMA nodes; never empty in a definition.

    Kept as a bitmap: a domain may have thousands of them, each with thousands of members.
    """

    __slots__ = ("mask",)

    def __init__(self, numbers: Iterable[int] = (), *, mask: int = 0) -> None:
        """Make the set of numbers, and of the bits that are set in mask."""
        for each in numbers:
            mask |= 1 << each
        self.mask = mask

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and number >= 0 and bool(self.mask >> number & 1)

    def __iter__(self) -> Iterator[int]:
        return (number for first, last in self.ranges() for number in range(first, last + 1))

    def __len__(self) -> int:
        return self.mask.bit_count()

    def __eq__(self, other: object) -> bool:
        return self.mask == other.mask if isinstance(other, CpuSet) else super().__eq__(other)

    def __hash__(self) -> int:
        return self._hash()

    def __repr__(self) -> str:
        return f"CpuSet('{format_cpuset(self)}')"

    def ranges(self) -> Iterator[tuple[int, int]]:
        """Yield the first and the last of each run of numbers, ascending."""
        for run in _RUN.finditer(f"{self.mask:b}"[::-1]):
            yield run.start(), run.end() - 1

    def bitmap(self, length: int) -> bytes:
        """Return length bytes, the lowest number in the lowest bit of the first; what does not fit is left out."""
        whole = self.mask.to_bytes(-(-self.mask.bit_length() // 8), "little")
        return whole[:length].ljust(length, b"\0")


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
    if len(text) > CPUSET_MAX:
        raise ValueError(f"a list of {len(text)} characters, more than {CPUSET_MAX}")
    mask = 0
    for part in text.split(","):
        match = _RANGE.match(part)
        if match is None:
            raise ValueError(f"'{part}' is neither a number, nor a range, nor '^' and a number")
        if (without := match["without"]) is not None:
            mask &= ~(1 << min(int(without), CPU_MAX + 1))
            continue
        first = int(match["first"])
        last = int(match["last"] or first)
        if last < first:
            raise ValueError(f"the range '{part}' runs backwards")
        if last > CPU_MAX:
            raise ValueError(f"{last} is above the largest number, {CPU_MAX}")
        mask |= (1 << last + 1) - (1 << first)
    if not mask:
        raise ValueError(f"'{text}' holds no number at all")
    return CpuSet(mask=mask)


def format_cpuset(cpus: Iterable[int]) -> str:
    """Return the shortest list without `^`, ascending: `0-1,3`. An empty set gives an empty text."""
    ranges = (cpus if isinstance(cpus, CpuSet) else CpuSet(cpus)).ranges()
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)
