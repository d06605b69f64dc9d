"""Lists and masks of processors (and memory nodes), as the kernel writes them: `0-3,8`, `ff,00000003`.

Source: bitmap_print_to_pagebuf in the kernel's lib/bitmap-str.c; cpuset(7), "FORMATS".
"""

from collections.abc import Collection
from functools import lru_cache

Processors = tuple[int, ...]
"""Numbers of processors, rising, each once."""

_WORD = 8
"""Hexadecimal digits between commas of a mask."""


@lru_cache(256)
def listed(text: str) -> Processors:
    """Return the numbers that a list names; none for an empty one. Raises: ValueError."""
    found: set[int] = set()
    for part in text.strip().split(","):
        if part:
            first, _, last = part.partition("-")
            found.update(range(int(first), int(last or first) + 1))
    return tuple(sorted(found))


@lru_cache(256)
def list_text(numbers: Processors) -> str:
    """Return them as a list, without a newline."""
    parts: list[str] = []
    index = 0
    while index < len(numbers):
        end = index
        while end + 1 < len(numbers) and numbers[end + 1] == numbers[end] + 1:
            end += 1
        parts.append(str(numbers[index]) if end == index else f"{numbers[index]}-{numbers[end]}")
        index = end + 1
    return ",".join(parts)


def kept_in_list(text: str, kept: Collection[int]) -> str:
    """Return a list with only those numbers that are kept."""
    return list_text(tuple(each for each in listed(text) if each in kept))


def kept_in_mask(text: str, kept: Collection[int]) -> str:
    """Return a mask with only those bits that are kept; as many words and digits as it had. Raises: ValueError."""
    words = text.strip().split(",")
    value = int("".join(word.rjust(_WORD, "0") for word in words), 16)
    wanted = sum(1 << each for each in kept)
    digits = f"{value & wanted:0{_WORD * len(words)}x}"
    whole = [digits[index : index + _WORD] for index in range(0, len(digits), _WORD)]
    whole[0] = whole[0][-max(len(words[0]), 1) :]
    return ",".join(whole)
