"""Programs of the classic packet filter, which seccomp(2) still takes: put together from their end.

Such a program only ever jumps forward, and a jump that compares reaches 255 instructions. Whoever writes the end first
knows every distance, and need not place labels afterwards. Sources: linux/filter.h, kernel document
`networking/filter`.
"""

import struct
from enum import IntEnum
from typing import NewType

INSTRUCTION = struct.Struct("=HBBI")
"""struct sock_filter: code, jumps if true and if false, value."""

MOST_INSTRUCTIONS = 4096
"""BPF_MAXINSNS."""

Place = NewType("Place", int)
"""An instruction, as how many there are from it to the end of the program, itself among them."""


class Compare(IntEnum):
    """Jumps that compare the accumulator with a value, by their codes. All compare unsigned words of 32 bits."""

    EQUAL = 0x15
    AT_LEAST = 0x35


_LOAD_WORD = 0x20
_AND = 0x54
_JUMP = 0x05
_RETURN = 0x06

_REACH = 255 - 2
"""How far an operand may be away before its jump needs a stepping stone: each of the two may get one in between."""


class Assembler:
    """A program that grows towards its beginning: every method returns where its first instruction stands."""

    def __init__(self) -> None:
        self._backwards: list[tuple[int, int, int, int]] = []
        self._returns: dict[int, Place] = {}

    def __len__(self) -> int:
        return len(self._backwards)

    def program(self) -> bytes:
        """Return what is there, from the last place that was returned on. Raises: ValueError if the kernel takes less.

        It begins with that place, whatever it is: whoever asks makes sure that it is where the program shall begin.
        """
        if len(self) > MOST_INSTRUCTIONS:
            raise ValueError(f"{len(self)} instructions are more than a filter may have ({MOST_INSTRUCTIONS})")
        return b"".join(INSTRUCTION.pack(*each) for each in reversed(self._backwards))

    def answer(self, value: int) -> Place:
        """End the program with an answer: one that stands in reach already, or a new one."""
        place = self._returns.get(value)
        if place is None or self._distance(place) > _REACH:
            place = self._returns[value] = self._put(_RETURN, value)
        return place

    def load(self, offset: int, then: Place) -> Place:
        """Load the word at an offset of what the program is asked about, and go on at `then`."""
        self._begin_at(then)
        return self._put(_LOAD_WORD, offset)

    def mask(self, bits: int, then: Place) -> Place:
        """Cut the loaded word to some bits, and go on at `then`."""
        self._begin_at(then)
        return self._put(_AND, bits)

    def test(self, compare: Compare, value: int, yes: Place, no: Place) -> Place:
        """Go to `yes` if the loaded word compares to value, to `no` if it does not."""
        if yes == no:
            return yes
        yes, no = self._in_reach(yes), self._in_reach(no)
        return self._put(compare, value, self._distance(yes), self._distance(no))

    def _put(self, code: int, value: int, if_true: int = 0, if_false: int = 0) -> Place:
        self._backwards.append((code, if_true, if_false, value))
        return Place(len(self))

    def _distance(self, place: Place) -> int:
        """How many instructions one put now would have to jump over."""
        return len(self) - place

    def _begin_at(self, place: Place) -> None:
        if self._distance(place):
            self._put(_JUMP, self._distance(place))

    def _in_reach(self, place: Place) -> Place:
        """Return the place, or where the program goes on just as there."""
        if self._distance(place) <= _REACH:
            return place
        code, _, _, value = self._backwards[place - 1]
        return self.answer(value) if code == _RETURN else self._put(_JUMP, self._distance(place))
