"""Texts that differ between guests of one shape: programs that differ in nothing else are compiled once.

A plan marks such texts (`Late`). A template is a program without them; filled with those of another plan whose steps
are the same otherwise, it is that plan's program.
"""

import os
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from struct import Struct
from typing import NamedTuple, cast

from insula.engine.program.program import Mark, Meaning, Program

_WORD = Struct("<Q")
_SIZE = Struct("<I")
_SIZE_OFFSET = 8
"""Of the image's size, in its header."""
_ALIGNMENT = 8


class Late(str):
    """A text that belongs to one guest alone, such as its name. A str in every other respect."""

    __slots__ = ()


def late(text: str) -> str:
    """Return a text as a late one; as it is if no program can have it, so that compiling refuses it by its step."""
    return text if "\0" in text else Late(text)


class Slot(NamedTuple):
    """A text in the image: the late one of that number, between two that all have."""

    before: bytes
    number: int
    behind: bytes

    def text(self, lates: Sequence[str]) -> bytes:
        return self.before + os.fsencode(lates[self.number]) + self.behind


class Patch(NamedTuple):
    """Eight bytes of the image that hold where a slot's text is, or how long."""

    offset: int
    slot: int
    is_size: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Template:
    """A program without its late texts. indices: of each step's first record."""

    image: bytes
    passed: tuple[str, ...]
    indices: tuple[int, ...]
    meanings: Mapping[tuple[int, int | None], Meaning]
    slots: tuple[Slot, ...]
    patches: tuple[Patch, ...]

    def marks(self, steps: Sequence[object]) -> tuple[Mark, ...]:
        """Return where these steps begin, which are all of a program's, in order."""
        return tuple(Mark(index=index, what=what) for index, what in zip(self.indices, steps, strict=True))

    def filled(self, lates: Sequence[str], marks: tuple[Mark, ...]) -> Program:
        """Return the program with these late texts and marks. Raises: ValueError for a text with a zero."""
        image = self._image(lates) if self.slots else self.image
        return Program(image=image, passed=self.passed, marks=marks, meanings=self.meanings)

    def _image(self, lates: Sequence[str]) -> bytes:
        image = bytearray(self.image)
        places = []
        sizes = []
        for slot in self.slots:
            text = slot.text(lates)
            if b"\0" in text:
                raise ValueError(f"a text for the kernel has a zero in it: {text!r}")
            image.extend(bytes(-len(image) % _ALIGNMENT))
            places.append(len(image))
            sizes.append(len(text))
            image += text + b"\0"
        for patch in self.patches:
            _WORD.pack_into(image, patch.offset, sizes[patch.slot] if patch.is_size else places[patch.slot])
        _SIZE.pack_into(image, _SIZE_OFFSET, len(image))
        return bytes(image)


def shape_of(steps: Iterable[object]) -> tuple[Hashable, list[Late]]:
    """Return what steps have in common with those of other guests, and their late texts in order.

    Reasons are left out: no program has them.
    """
    lates: list[Late] = []
    shapes: list[Hashable] = []
    for step in steps:
        kind: type = type(step)
        shapes += [kind, *(_shape(getattr(step, name), lates) for name in _shaping(kind))]
    return tuple(shapes), lates


def _shaping_fields(kind: type) -> tuple[str, ...]:
    assert is_dataclass(kind)
    return tuple(field.name for field in fields(kind) if field.name != "why")


_shaping = cast("Callable[[type], tuple[str, ...]]", cache(_shaping_fields))
"""The fields of a kind of steps that are part of a shape."""


def _shape(value: object, lates: list[Late]) -> Hashable:
    kind = type(value)
    if kind is str:
        return cast("str", value)
    if kind is Late:
        lates.append(cast("Late", value))
        return Late
    if isinstance(value, list | tuple):
        return tuple([_shape(each, lates) for each in value])
    assert isinstance(value, Hashable)
    return value
