"""Random values and packets of the wire, fast: the notation is read here a second time, independently of the codec."""

import re
from collections.abc import Callable, Mapping
from random import Random
from struct import Struct
from typing import Any

from insula.rpc.frames import Frame, PacketType, pack_frame
from insula.rpc.procedures import PROGRAMS, Procedure

Value = Callable[[Random], Any]

ROWS: tuple[Procedure, ...] = tuple(
    row for _, table in sorted(PROGRAMS.items()) for _, row in sorted(table.rows.items())
)
CALLS: tuple[Procedure, ...] = tuple(row for row in ROWS if not row.is_event)
ERROR = "code:i domain:i message:s? level:i dom:dom? str1:s? str2:s? str3:s? int1:i int2:i net:net?"
"""An error's body. Source: virnetprotocol.x, virNetMessageError."""
HEADER = Struct(">IIIiIIi")

_TEXTS = (
    "",
    "a",
    "web",
    "lxc:///system",
    "é",
    "\u202e",
    "\U0001f600" * 3,
    "x" * 300,
    "0",
    "<a/>",
    "\udcff",
    "{}",
    "/",
    "\n",
)


def _integer(bits: int, *, signed: bool) -> Value:
    least, most = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    edges = (least, most, 0, 1, 2, max(least, -1), most - 1)

    def value(chance: Random) -> int:
        kind = chance.random()
        if kind < 0.5:
            return int(chance.random() * 8)
        return edges[int(chance.random() * 7)] if kind < 0.8 else chance.randrange(least, most + 1)

    return value


def _text(chance: Random) -> str:
    return _TEXTS[int(chance.random() * len(_TEXTS))]


def _uuid(chance: Random) -> bytes:
    return chance.randbytes(16)


def _double(chance: Random) -> float:
    return chance.choice((0.0, -1.5, 1e300, float("inf"), float("nan")))


def _together(*values: Value) -> Value:
    return lambda chance: tuple(value(chance) for value in values)


_INT, _UINT = _integer(32, signed=True), _integer(32, signed=False)
_LLONG, _ULLONG = _integer(64, signed=True), _integer(64, signed=False)
_DOMAIN, _NAMED = _together(_text, _uuid, _INT), _together(_text, _uuid)
_CONTENTS: Mapping[int, Value] = {1: _INT, 2: _UINT, 3: _LLONG, 4: _ULLONG, 5: _double, 6: _INT, 7: _text}


def _parameter(chance: Random) -> Any:
    kind = 1 + int(chance.random() * 7)
    return _text(chance), kind, _CONTENTS[kind](chance)


_WORDS: Mapping[str, Value] = {
    "i": _INT,
    "u": _UINT,
    "q": _LLONG,
    "Q": _ULLONG,
    "d": _double,
    "s": _text,
    "c4": lambda chance: int(chance.random() * 256),
    "u4": lambda chance: int(chance.random() * 65536),
    "uuid": _uuid,
    "P": _parameter,
    "dom": _DOMAIN,
    "net": _NAMED,
    "pool": _NAMED,
    "nwf": _NAMED,
    "nwfb": _together(_text, _text),
    "vol": _together(_text, _text, _text),
    "ndev": _together(_text),
    "iface": _together(_text, _text),
    "secret": _together(_uuid, _INT, _text),
    "snap": _together(_text, _DOMAIN),
    "ckpt": _together(_text, _DOMAIN),
    "nport": _together(_NAMED, _uuid),
}


def values_of(notation: str, special: Mapping[str, Value] | None = None) -> Value:
    """Return what makes random values for a notation's fields. special: by name, what makes a field's values."""
    fields = [each.split(":", 1) for each in _split(notation)]
    return _together(*((special or {}).get(name) or _value(kind) for name, kind in fields))


def _split(notation: str) -> list[str]:
    """Return the fields that stand side by side; what is in braces or brackets stays together."""
    fields, depth, current = [], 0, ""
    for character in f"{notation} ":
        depth += {"{": 1, "}": -1, "(": 1, ")": -1}.get(character, 0)
        if character in " ," and depth == 0:
            if current and "*" not in current:
                fields.append(current)
            current = ""
        else:
            current += character
    return fields


def _value(kind: str) -> Value:
    if bounded := re.fullmatch(r"([iu])\((?:(-?\d+),)?(\d+)\)", kind):
        any_number, least, most = _WORDS[bounded[1]], int(bounded[2] or 0), int(bounded[3])
        return lambda chance: any_number(chance) if chance.random() < 0.2 else chance.randint(least, min(9, most))
    if fixed := re.fullmatch(r"c4\[(\d+)\]", kind):
        size = int(fixed[1])
        return lambda chance: chance.randbytes(int(chance.random() * (size + 1))).rstrip(b"\0")
    if sized := re.fullmatch(r"(c4|opaque)<(\d*)>", kind):
        most = min(9, int(sized[2] or 9))
        return lambda chance: chance.randbytes(int(chance.random() * (most + 1)))
    if listed := re.fullmatch(r"(.*)<(\d*)>", kind):
        one, count = _value(listed[1]), min(4, int(listed[2] or 4) + 1)
        return lambda chance: tuple(one(chance) for _ in range(int(chance.random() * count)))
    if kind.endswith("?"):
        given = _value(kind[:-1])
        return lambda chance: given(chance) if chance.random() < 0.7 else None
    if kind.startswith("{"):
        return values_of(kind[1:-1])
    return _WORDS[kind]


def packet(row: Procedure, kind: int, serial: int, status: int, body: bytes) -> bytes:
    """Return a packet without descriptors."""
    return pack_frame(Frame(row.program, 1, row.number, kind, serial, status, body))


def packet_of(row: Procedure, serial: int, values: Any) -> bytes:
    """Return the call of a procedure with these values."""
    return packet(row, PacketType.CALL, serial, 0, row.arguments.pack(values))


def count_of(data: bytes) -> int:
    """Return how many whole packets a stream of bytes holds."""
    at = count = 0
    while at + 4 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        if length < HEADER.size or at + length > len(data):
            break
        at += length
        count += 1
    return count
