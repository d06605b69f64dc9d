"""The few D-Bus messages that a guest's bus is asked with, and its answers, read as from one who may say anything.

An answer is looked at only as far as what was asked for: it has the signature that it is to have, or it is none. Only
basic types stand in variants; nothing is read beyond the message, and every element of an array has a size. That is
why jeepney, by which we speak with the host's own bus, is not what reads here: it believes what it is sent.
Source: the D-Bus specification, "Marshaling" and "Message Format".
"""

import struct
from dataclasses import dataclass
from typing import Any

HEAD = 16
"""Bytes of a message by which its length is known."""
MESSAGE_MAX = 1 << 19
_FIELDS_MAX = 4096
_CALL, _RETURN = 1, 2
_NO_AUTO_START = 2
_PATH, _INTERFACE, _MEMBER, _REPLY_TO, _DESTINATION, _SIGNATURE = 1, 2, 3, 5, 6, 8
_NUMBERS = {"y": "B", "b": "I", "n": "h", "q": "H", "i": "i", "u": "I", "x": "q", "t": "Q", "d": "d"}
_TEXTS = {"s": "I", "o": "I", "g": "B"}
"""Types, and what `struct` calls them, or the lengths before them."""
_ALIGNMENTS = {"n": 2, "q": 2, "x": 8, "t": 8, "d": 8, "(": 8, "y": 1, "g": 1, "v": 1}
_USUAL_ALIGNMENT = 4


class BusFormatError(ValueError):
    """Somebody sent what is no message, or not the one that it is to be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BusMessage:
    """A message. answers: the serial of the call that it answers, 0 for none; refused: it is no result."""

    answers: int
    refused: bool
    signature: str
    body: bytes
    order: str

    def values(self, signature: str) -> list[Any]:
        """Return what it carries. Raises: BusFormatError if that has any other signature."""
        if self.signature != signature:
            raise BusFormatError(f"an answer has the signature '{self.signature[:32]}', not '{signature}'")
        return _Reader(self.body, self.order).values(signature)


def call(serial: int, destination: str, path: str, method: tuple[str, str], *arguments: str | tuple[str, ...]) -> bytes:
    """Return a call of method, an interface and its member, that starts no service. arguments: texts, or lists."""
    body, signature = b"", ""
    for each in arguments:
        body += _text(body, each) if isinstance(each, str) else _texts(body, each)
        signature += "s" if isinstance(each, str) else "as"
    told = [
        (_PATH, "o", path),
        (_INTERFACE, "s", method[0]),
        (_MEMBER, "s", method[1]),
        (_DESTINATION, "s", destination),
    ]
    fields = b""
    for code, kind, value in told:
        fields += _padding(fields, 8) + struct.pack("<BB2s", code, 1, kind.encode() + b"\0")
        fields += _text(fields, value)
    if signature:
        fields += _padding(fields, 8) + struct.pack("<BB2sB", _SIGNATURE, 1, b"g\0", len(signature))
        fields += signature.encode() + b"\0"
    head = struct.pack("<cBBBIII", b"l", _CALL, _NO_AUTO_START, 1, len(body), serial, len(fields))
    return head + fields + _padding(fields, 8) + body


def whole_length(head: bytes) -> int:
    """Return the bytes of a message that begins so. Raises: BusFormatError if it begins as none, or is too long."""
    order = _order(head)
    body, fields = struct.unpack(f"{order}4xI4xI", head)
    length: int = HEAD + fields + -fields % 8 + body
    if fields > _FIELDS_MAX or length > MESSAGE_MAX:
        raise BusFormatError("a message is longer than it may be")
    return length


def parse(raw: bytes) -> BusMessage:
    """Return a message that is there in whole. Raises: BusFormatError."""
    order = _order(raw)
    fields: int = struct.unpack(f"{order}12xI", raw[:HEAD])[0]
    reader = _Reader(raw[HEAD : HEAD + fields], order)
    found = dict(reader.elements("(yv)"))
    answers, signature = found.get(_REPLY_TO, 0), found.get(_SIGNATURE, "")
    if not isinstance(answers, int) or not isinstance(signature, str):
        raise BusFormatError("a message's own fields have wrong types")
    body = raw[HEAD + fields + -fields % 8 :]
    return BusMessage(answers=answers, refused=raw[1] != _RETURN, signature=signature, body=body, order=order)


def _order(raw: bytes) -> str:
    try:
        return {b"l": "<", b"B": ">"}[raw[:1]]
    except KeyError:
        raise BusFormatError("this is no message") from None


def _padding(before: bytes, step: int) -> bytes:
    return bytes(-len(before) % step)


def _text(before: bytes, text: str) -> bytes:
    encoded = text.encode()
    return _padding(before, 4) + struct.pack("<I", len(encoded)) + encoded + b"\0"


def _texts(before: bytes, texts: tuple[str, ...]) -> bytes:
    listed = b""
    for each in texts:
        listed += _text(listed, each)
    return _padding(before, 4) + struct.pack("<I", len(listed)) + listed


class _Reader:
    """Reads values one after another. order: of bytes, as `struct` has it."""

    def __init__(self, data: bytes, order: str) -> None:
        self._data = data
        self._order = order
        self._place = 0

    def values(self, signature: str) -> list[Any]:
        """Read a value of each type of a signature of ours."""
        found, at = [], 0
        while at < len(signature):
            found.append(self._value(signature, at))
            at = _behind(signature, at)
        return found

    def elements(self, kind: str, at: int = 0, end: int | None = None) -> list[Any]:
        """Read values of one type to the end."""
        found, end = [], len(self._data) if end is None else end
        while self._place < end:
            found.append(self._value(kind, at))
        if self._place != end:
            raise BusFormatError("an array ends amid an element")
        return found

    def _value(self, signature: str, at: int) -> Any:
        kind = signature[at]
        self._align(_ALIGNMENTS.get(kind, _USUAL_ALIGNMENT))
        if kind == "(":
            return tuple(self.values(signature[at + 1 : _behind(signature, at) - 1]))
        if kind == "a":
            length = self._number("I")
            self._align(_ALIGNMENTS.get(signature[at + 1], _USUAL_ALIGNMENT))
            if length > len(self._data) - self._place:
                raise BusFormatError("an array is longer than its message")
            return self.elements(signature, at + 1, self._place + length)
        return self._basic(self._variant_type() if kind == "v" else kind)

    def _variant_type(self) -> str:
        kind = self._basic("g")
        if not isinstance(kind, str) or (kind not in _NUMBERS and kind not in _TEXTS):
            raise BusFormatError("a value has a type that nobody asked for")
        self._align(_ALIGNMENTS.get(kind, _USUAL_ALIGNMENT))
        return kind

    def _basic(self, kind: str) -> int | float | str:
        if kind in _NUMBERS:
            number: int | float = self._number(_NUMBERS[kind])
            return number
        length = int(self._number(_TEXTS[kind]))
        raw = self._take(length + 1)
        try:
            return raw[:length].decode()
        except UnicodeDecodeError as error:
            raise BusFormatError("a text is none") from error

    def _number(self, code: str) -> Any:
        return struct.unpack(self._order + code, self._take(struct.calcsize(f"={code}")))[0]

    def _align(self, step: int) -> None:
        self._place += -self._place % step

    def _take(self, length: int) -> bytes:
        taken = self._data[self._place : self._place + length]
        if len(taken) != length:
            raise BusFormatError("a message ends amid a value")
        self._place += length
        return taken


def _behind(signature: str, at: int) -> int:
    """Return where the type ends that begins there."""
    while signature[at] == "a":
        at += 1
    depth = 0
    for place in range(at, len(signature)):
        depth += {"(": 1, ")": -1}.get(signature[place], 0)
        if depth == 0:
            return place + 1
    raise ValueError(signature)
