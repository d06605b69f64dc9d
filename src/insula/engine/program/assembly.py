"""Records and data of a program that is being built: what every word of `builder` comes down to."""

import errno
import os
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from insula.engine.program.image import (
    ARGUMENTS,
    ARGUMENTS_OFFSET,
    BEFORE_ANY_RECORD,
    COMPARE,
    HEADER,
    HEADER_SIZE,
    IMAGE_MAX,
    MAGIC,
    RECORD,
    RECORD_SIZE,
    RELOCATION,
    RESULT_OFFSET,
    SKIP_MAX,
    STORE,
    WANTED_OFFSET,
    ArgumentKind,
    RecordFlag,
)
from insula.engine.program.late import Late, Patch, Slot, Template
from insula.engine.program.program import Meaning, Program
from insula.kernel.callnumbers import portable_call_numbers

_ALL = (1 << 64) - 1
_WHOLE = 0xFFFFFFFF
_WORD = struct.Struct("<Q")
_ALIGNMENT = 8

Means = str | Mapping[int, str]
"""What a failure means: a text, or one for each errno; `{error}` stands for the kernel's words."""


class Pointer(NamedTuple):
    """An address in the image. offset: into the data, or into the image itself if whole."""

    offset: int
    whole: bool = False

    def beyond(self, size: int) -> "Pointer":
        """Return the address that many bytes further."""
        return Pointer(self.offset + size, self.whole)


class Result(NamedTuple):
    """What an earlier record returned. record: its index."""

    record: int


class Loaded(NamedTuple):
    """The four bytes in the image, as a signed number."""

    place: Pointer


class LateText(NamedTuple):
    """An address in the image: that of a slot's text."""

    slot: int


class LateSize(NamedTuple):
    """How long a slot's text is."""

    slot: int


Place = Pointer | LateText
Argument = int | Pointer | Result | Loaded | LateText | LateSize


class Label:
    """A place further on, to which records skip."""

    __slots__ = ("waiting",)

    def __init__(self) -> None:
        self.waiting: list[int] = []


class _CallRecord:
    __slots__ = ("arguments", "errno", "flags", "number", "skip", "wanted")

    def __init__(self, number: int, arguments: tuple[Argument, ...]) -> None:
        self.number = number
        self.arguments = arguments
        self.flags = 0
        self.skip = 0
        self.errno = 0
        self.wanted: int | LateSize = 0


class Assembly:
    """Records and data under construction.

    machine: whose numbers of system calls, as uname says it; lates: the late texts that there will be, in order.
    """

    def __init__(self, *, machine: str | None = None, lates: Sequence[Late] = ()) -> None:
        self._numbers_of_lates = {id(late): number for number, late in enumerate(lates)}
        self._lates = list(lates)
        self._slots: dict[Slot, int] = {}
        self._numbers = portable_call_numbers(machine)
        self._records: list[_CallRecord] = []
        self._data = bytearray()
        self._relocations: list[tuple[int, Place]] = []
        self._constants: dict[bytes, Pointer] = {}
        self._marks: list[tuple[int, object]] = []
        self._waiting: set[int] = set()
        self._meanings: dict[tuple[int, int | None], Meaning] = {}

    # Records

    def call(
        self,
        name: str,
        *arguments: Argument,
        wanted: int | LateSize | None = None,
        whatever: bool = False,
        again: bool = False,
        unless: tuple[int, Label] | None = None,
        about: str = "",
        means: Means = "",
        code: int | None = None,
    ) -> Result:
        """Add a system call, by its name.

        wanted: the only good result, any that is not negative otherwise; whatever: every result is good; again: try
        again on EAGAIN; unless: an errno at which it goes on at a label; about: a path or the like for the message;
        means: the message itself; code: the errno of the failure, in place of the kernel's.
        """
        result = self._add(_CallRecord(self._numbers[name], arguments), wanted=wanted, whatever=whatever, unless=unless)
        if again:
            self._records[result.record].flags |= RecordFlag.AGAIN
        self._mean(result.record, f"{name}: {{error}}", code, about)
        if means:
            self._mean(result.record, means, code, about)
        return result

    def _add(
        self,
        record: _CallRecord,
        *,
        wanted: int | LateSize | None = None,
        whatever: bool = False,
        unless: tuple[int, Label] | None = None,
    ) -> Result:
        index = len(self._records)
        self._records.append(record)
        if wanted is not None:
            record.flags |= RecordFlag.EXACT
            record.wanted = wanted
        if whatever:
            record.flags |= RecordFlag.WHATEVER
        if unless is not None:
            record.errno = unless[0]
            self._wait(index, unless[1])
        return Result(index)

    def _mean(self, index: int, means: Means, code: int | None, about: str) -> None:
        texts: Iterable[tuple[int | None, str]] = [(None, means)] if isinstance(means, str) else means.items()
        for number, text in texts:
            self._meanings[index, number] = Meaning(text=text, errno=code, about=about)

    def mark(self, step: object) -> None:
        """Say that what follows is the step's; its words are asked for only when something fails."""
        self._marks.append((len(self._records), step))

    def store(self, place: Pointer, value: Argument) -> None:
        """Write the lower four bytes of a value."""
        self._add(_CallRecord(STORE, (place, value)))

    def require(
        self,
        place: Pointer,
        value: int,
        *,
        means: str,
        code: int,
        mask: int = _WHOLE,
        other: bool = False,
        about: str = "",
    ) -> Result:
        """Fail unless the four bytes at place, cut to mask, are value; other: fail if they are."""
        record = _CallRecord(COMPARE, (place, mask, value & _WHOLE))
        result = self._add(record, wanted=-errno.EPERM if other else None)
        self._mean(result.record, means, code, about)
        return result

    def expect(self, required: Result, value: int) -> None:
        """Change the value that `require` was told."""
        place, mask, _ = self._records[required.record].arguments
        self._records[required.record].arguments = (place, mask, value)

    def skip_unless(self, place: Pointer, value: int, label: Label, *, mask: int = _WHOLE) -> None:
        """Go on at label unless the four bytes at place, cut to mask, are value."""
        self._add(_CallRecord(COMPARE, (place, mask, value & _WHOLE)), unless=(errno.EPERM, label))

    def skip(self, label: Label) -> None:
        """Go on at label."""
        self.skip_unless(self.constant(bytes(4)), 1, label)

    def here(self, label: Label) -> None:
        """Let everything that skips to label go on with the next record."""
        for index in label.waiting:
            distance = len(self._records) - index - 1
            if distance > SKIP_MAX:
                raise ValueError(f"a program cannot skip {distance} records")
            self._records[index].skip = distance
            self._waiting.discard(index)
        label.waiting.clear()

    def _wait(self, index: int, label: Label) -> None:
        self._waiting.add(index)
        label.waiting.append(index)

    def parent_skips(self, record: Result, label: Label) -> None:
        """Let a record that has cloned skip to label in the parent."""
        self._records[record.record].flags |= RecordFlag.PARENT_SKIPS
        self._wait(record.record, label)

    @staticmethod
    def result_of(record: Result) -> Pointer:
        """Return where a record's result is; for comparisons."""
        return Pointer(HEADER_SIZE + RECORD_SIZE * record.record + RESULT_OFFSET, whole=True)

    # Data

    def room(self, size: int) -> Pointer:
        """Return fresh zeros, for the kernel or the program to write to."""
        self._data.extend(bytes(-len(self._data) % _ALIGNMENT))
        place = Pointer(len(self._data))
        self._data.extend(bytes(size))
        return place

    def constant(self, content: bytes) -> Pointer:
        """Return where content is; nobody may write there, for it is shared."""
        place = self._constants.get(content)
        if place is None:
            place = self._constants[content] = self.room(len(content))
            self._data[place.offset : place.offset + len(content)] = content
        return place

    def text(self, text: str, *, before: str = "", behind: str = "") -> Place:
        """Return where a text is, between two others, ended by a zero. Raises: ValueError for a zero inside."""
        if isinstance(text, Late):
            return LateText(self._slot(text, before, behind))
        encoded = os.fsencode(f"{before}{text}{behind}")
        if b"\0" in encoded:
            raise ValueError(f"a text for the kernel has a zero in it: {text!r}")
        return self.constant(encoded + b"\0")

    def size(self, text: str) -> int | LateSize:
        """Return how many bytes a text has, without the zero."""
        return LateSize(self._slot(text, "", "")) if isinstance(text, Late) else len(os.fsencode(text))

    def _slot(self, text: Late, before: str, behind: str) -> int:
        number = self._numbers_of_lates.get(id(text))
        if number is None:
            number = self._numbers_of_lates[id(text)] = len(self._lates)
            self._lates.append(text)
        slot = Slot(os.fsencode(before), number, os.fsencode(behind))
        return self._slots.setdefault(slot, len(self._slots))

    def words(self, values: Sequence[int | Place]) -> Pointer:
        """Return fresh words of eight bytes: numbers and addresses."""
        place = self.room(8 * len(values))
        for position, value in enumerate(values):
            self.put_word(place.beyond(8 * position), value)
        return place

    def put_word(self, place: Pointer, value: int | Place) -> None:
        """Put a number or an address into room, before the program is played."""
        if isinstance(value, Pointer | LateText):
            self._relocations.append((place.offset, value))
        else:
            _WORD.pack_into(self._data, place.offset, value & _ALL)

    # The end

    def template(self, passed: Sequence[str]) -> Template:
        """Return all but the late texts.

        Raises: ValueError for an image that is too long, or skips to a label that never came.
        """
        patches: list[Patch] = []
        return Template(
            image=self._encoded(patches),
            passed=tuple(passed),
            indices=tuple(index for index, _ in self._marks),
            meanings=dict(self._meanings),
            slots=tuple(self._slots),
            patches=tuple(patches),
        )

    def filled(self, template: Template) -> Program:
        """Return a template of ours with our own late texts."""
        return template.filled(self._lates, template.marks([step for _, step in self._marks]))

    def _encoded(self, patches: list[Patch]) -> bytes:
        if self._waiting:
            raise ValueError(f"the records {sorted(self._waiting)} skip to a label that never came")
        relocations_at = HEADER_SIZE + RECORD_SIZE * len(self._records)
        data_at = relocations_at + RELOCATION.size * len(self._relocations)
        data_at += -data_at % _ALIGNMENT
        size = data_at + len(self._data)
        if size > IMAGE_MAX:
            raise ValueError(f"a program of {size} bytes is too long: {IMAGE_MAX} are the most")
        image = bytearray(size)
        header = (len(self._records), HEADER_SIZE, len(self._relocations), relocations_at, BEFORE_ANY_RECORD, -1)
        HEADER.pack_into(image, 0, MAGIC, size, *header)
        for index, record in enumerate(self._records):
            self._pack(image, index, record, data_at, patches)
        image[data_at:] = self._data
        for index, (place, target) in enumerate(self._relocations):
            RELOCATION.pack_into(image, relocations_at + RELOCATION.size * index, data_at + place)
            if isinstance(target, LateText):
                patches.append(Patch(data_at + place, target.slot, is_size=False))
            else:
                _WORD.pack_into(image, data_at + place, _offset(target, data_at))
        return bytes(image)

    def _pack(self, image: bytearray, index: int, record: _CallRecord, data_at: int, patches: list[Patch]) -> None:
        if len(record.arguments) > ARGUMENTS:
            raise ValueError(f"a system call has no {len(record.arguments)} arguments")
        place = HEADER_SIZE + RECORD_SIZE * index
        kinds = 0
        values = [0] * ARGUMENTS
        for position, argument in enumerate(record.arguments):
            kind, values[position] = _encoded(argument, data_at)
            kinds |= kind << 2 * position
            if isinstance(argument, LateText | LateSize):
                at = place + ARGUMENTS_OFFSET + 8 * position
                patches.append(Patch(at, argument.slot, is_size=isinstance(argument, LateSize)))
        wanted = record.wanted
        if isinstance(wanted, LateSize):
            patches.append(Patch(place + WANTED_OFFSET, wanted.slot, is_size=True))
            wanted = 0
        words = (record.number, kinds, record.flags, record.skip, record.errno, 0, wanted)
        RECORD.pack_into(image, place, *words, *values, 0)


def _offset(pointer: Pointer, data_at: int) -> int:
    return pointer.offset if pointer.whole else data_at + pointer.offset


def _encoded(argument: Argument, data_at: int) -> tuple[int, int]:
    if isinstance(argument, Pointer):
        return ArgumentKind.POINTER, _offset(argument, data_at)
    if isinstance(argument, Result):
        return ArgumentKind.RESULT, argument.record
    if isinstance(argument, Loaded):
        return ArgumentKind.LOADED, _offset(argument.place, data_at)
    if isinstance(argument, LateText):
        return ArgumentKind.POINTER, 0
    if isinstance(argument, LateSize):
        return ArgumentKind.VALUE, 0
    return ArgumentKind.VALUE, argument & _ALL
