"""Making new inputs from old ones: by bytes, by the tokens of XML, and by the values of JSON."""

import copy
import json
import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
_WORDS = tuple(value.to_bytes(4, "big") for value in EXTREMES)
_LONGEST = 1 << 16


def raw(chance: Random, most: int = 256) -> bytes:
    """Return random bytes."""
    return chance.randbytes(chance.randrange(most))


def edited(data: bytes, chance: Random, others: Sequence[bytes] = ()) -> bytes:
    """Return data with one to four edits. others: what parts may be taken from."""
    result = bytearray(data)
    for _ in range(1 + int(chance.random() * 4)):
        _EDITS[int(chance.random() * len(_EDITS))](result, chance, others)
    return bytes(result[:_LONGEST])


def _place(data: bytearray, chance: Random) -> int:
    return int(chance.random() * len(data))


def _flip(data: bytearray, chance: Random, others: Sequence[bytes]) -> None:
    if data:
        data[_place(data, chance)] ^= 1 << int(chance.random() * 8)


def _set(data: bytearray, chance: Random, others: Sequence[bytes]) -> None:
    if data:
        data[_place(data, chance)] = int(chance.random() * 256)


def _word(data: bytearray, chance: Random, others: Sequence[bytes]) -> None:
    at = _place(data, chance) & ~3
    data[at : at + 4] = _WORDS[int(chance.random() * len(_WORDS))]


def _insert(data: bytearray, chance: Random, others: Sequence[bytes]) -> None:
    at = _place(data, chance)
    data[at:at] = chance.randbytes(1 + int(chance.random() * 8))


def _delete(data: bytearray, chance: Random, others: Sequence[bytes]) -> None:
    at = _place(data, chance)
    del data[at : at + 1 + int(chance.random() ** 3 * 64)]


def _cut(data: bytearray, chance: Random, others: Sequence[bytes]) -> None:
    del data[_place(data, chance) :]


def _repeat(data: bytearray, chance: Random, others: Sequence[bytes]) -> None:
    at = _place(data, chance)
    span = data[at : at + 1 + int(chance.random() * 32)]
    if len(data) < _LONGEST:
        data[at:at] = span * (1 + int(chance.random() ** 6 * 300))


def _splice(data: bytearray, chance: Random, others: Sequence[bytes]) -> None:
    if others:
        other = others[int(chance.random() * len(others))]
        start = int(chance.random() * (len(other) + 1))
        at = _place(data, chance)
        data[at : at + int(chance.random() * 32)] = other[start : start + int(chance.random() * 128)]


_EDITS: tuple[Callable[[bytearray, Random, Sequence[bytes]], None], ...] = (
    _flip,
    _set,
    _word,
    _word,
    _insert,
    _delete,
    _cut,
    _repeat,
    _splice,
)

# XML

_TOKEN = re.compile(r"<[^>]*>|[^<]+")
_ATTRIBUTE = re.compile(r"""(\s[\w:.-]+=)("[^"]*"|'[^']*')""")
_NUMBER = re.compile(r"^\d+$")
VALUES = (
    "",
    "0",
    "-1",
    "1",
    "65535",
    "4294967295",
    "18446744073709551616",
    "9" * 400,
    "9" * 5000,
    "1e9",
    "0x10",
    "yes",
    "no",
    "on",
    "/",
    "//",
    "/../x",
    "..",
    "lxc",
    "file",
    "a" * 300,
    "é\u202e\u2028",
    "\U0001f600" * 64,
    "0-3,^2",
    "^0",
    "1-100000",
    "default",
    "MiB",
    "fe80::1/64",
    "10.0.0.1",
    "52:54:00:00:00:01",
    "&#xD;&#10;",
    "]]&gt;",
    " x ",
    "0b9b8d9e-0000-4000-8000-00163e000001",
)


def tokens(xml: str) -> list[str]:
    """Return tags and texts in order."""
    return _TOKEN.findall(xml)


class XmlMutator:
    """Makes documents from others: tags and texts taken out, doubled, moved, exchanged, and values replaced."""

    def __init__(self, documents: Sequence[str], chance: Random) -> None:
        self._chance = chance
        self._documents = [tokens(each) for each in documents]
        self._pool = sorted({each for document in self._documents for each in document if each.strip()})
        self._values = [*VALUES, *sorted({each[2][1:-1] for each in map(_parted, self._pool) if each is not None})]

    def __call__(self) -> str:
        chance = self._chance
        document = list(self._pick(self._documents))
        for _ in range(1 + int(chance.random() ** 2 * 6)):
            if document:
                self._edit(document, int(chance.random() * len(document)), chance.random())
        return "".join(document)

    def _pick(self, things: Sequence[Any]) -> Any:
        return things[int(self._chance.random() * len(things))]

    def _edit(self, document: list[str], at: int, kind: float) -> None:
        token = document[at]
        if kind < 0.5:
            document[at] = self._with_value(token)
        elif kind < 0.6:
            del document[at : at + 1 + int(self._chance.random() * 4)]
        elif kind < 0.75:
            document.insert(at, self._pick(self._pool))
        elif kind < 0.85:
            span = document[at : at + 1 + int(self._chance.random() * 8)]
            document[at:at] = span * (1 + int(self._chance.random() ** 8 * 400))
        elif kind < 0.95:
            other = self._pick(self._documents)
            start = int(self._chance.random() * len(other))
            document[at:at] = other[start : start + 1 + int(self._chance.random() * 12)]
        else:
            other_place = int(self._chance.random() * len(document))
            document[at], document[other_place] = document[other_place], token

    def _with_value(self, token: str) -> str:
        value = self._pick(self._values)
        if not token.startswith("<"):
            return str(value)
        found = list(_ATTRIBUTE.finditer(token))
        if not found:
            return token.replace(">", f" {self._pick(('x', 'type', 'name', 'unit', 'source'))}='{value}'>", 1)
        place = self._pick(found)
        return f"{token[: place.start(2)]}'{value}'{token[place.end(2) :]}"


def _parted(token: str) -> "re.Match[str] | None":
    return _ATTRIBUTE.search(token) if token.startswith("<") else None


# JSON

ODD: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1.5,
    2**31,
    2**63,
    2**64,
    10**30,
    float("nan"),
    float("inf"),
    "",
    "x",
    "\0",
    "\ud800",
    "a" * 300,
    "/",
    "..",
    [],
    {},
    [[]],
    [None],
    {"": None},
    [1, "2", {"3": 4}],
)


class JsonMutator:
    """Makes documents from others by putting odd things, and parts of others, in the place of their values."""

    def __init__(self, documents: Sequence[Any], chance: Random) -> None:
        self._chance = chance
        self._texts = [json.dumps(each) for each in documents]
        self._raw = [each.encode() for each in self._texts]
        self._parts = [part for each in documents for part in _parts(each)]

    def __call__(self) -> bytes:
        chance = self._chance
        kind = chance.random()
        if kind < 0.15:
            return edited(self._pick(self._raw), chance, self._raw)
        if kind < 0.16:
            depth = int(chance.random() ** 2 * 20000)
            return (b"[" * depth + b"]" * depth) if chance.random() < 0.5 else b'{"a":' * depth
        document = json.loads(self._pick(self._texts))
        for _ in range(1 + int(chance.random() ** 2 * 4)):
            document = self._edited(document)
        return json.dumps(document).encode()

    def _pick(self, things: Sequence[Any]) -> Any:
        return things[int(self._chance.random() * len(things))]

    def _edited(self, value: Any) -> Any:
        """Return value with one place replaced, at any depth."""
        chance = self._chance
        if isinstance(value, dict) and value and chance.random() < 0.85:
            key = self._pick(list(value))
            kind = chance.random()
            if kind < 0.1:
                del value[key]
            elif kind < 0.15:
                value[self._pick(("", "kind", "step", "uuid", key + "x"))] = value[key]
            else:
                value[key] = self._edited(value[key])
            return value
        if isinstance(value, list) and value and chance.random() < 0.85:
            at = int(chance.random() * len(value))
            kind = chance.random()
            if kind < 0.1:
                del value[at]
            elif kind < 0.2:
                value[at:at] = value[at : at + 2] * (1 + int(chance.random() ** 6 * 100))
            else:
                value[at] = self._edited(value[at])
            return value
        odd = chance.random() < 0.7 or not self._parts
        return copy.deepcopy(self._pick(ODD if odd else self._parts))


def _parts(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*value.values(), *(part for each in value.values() for part in _parts(each))]
    if isinstance(value, list):
        return [*value, *(part for each in value for part in _parts(each))]
    return []
