"""What the C library's XDR makes of a body, written by hand from its sources: the measure of what must be read.

Of the notation only the words are ours. A value that C refuses is a `RefusedError`; texts and bytes are bytes.
Sources: libtirpc's xdr.c, xdr_array.c and xdr_reference.c; remote_protocol.x for the union of typed parameters.
"""

import re
from typing import Any

LONGEST_TEXT = 4 * 1024 * 1024
LONGEST_LIST = 16384

NOUNS = {
    "dom": "{name:s uuid:uuid id:i}",
    "net": "{name:s uuid:uuid}",
    "pool": "{name:s uuid:uuid}",
    "nwf": "{name:s uuid:uuid}",
    "nwfb": "{portdev:s filtername:s}",
    "vol": "{pool:s name:s key:s}",
    "ndev": "{name:s}",
    "iface": "{name:s mac:s}",
    "secret": "{uuid:uuid usageType:i usageID:s}",
    "snap": "{name:s dom:dom}",
    "ckpt": "{name:s dom:dom}",
    "nport": "{net:net uuid:uuid}",
}
UNION = {1: "i", 2: "u", 3: "q", 4: "Q", 5: "d", 6: "i", 7: "s"}
"""The arms of a typed parameter's value; the union has no default, so any other discriminant is refused."""


class RefusedError(Exception):
    """C's filter returned FALSE."""


class Body:
    """A body being read. xdrmem_getbytes(): what is not there is refused."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        if size > len(self._data) - self._at:
            raise RefusedError
        self._at += size
        return self._data[self._at - size : self._at]

    def unsigned(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def opaque(self, size: int) -> bytes:
        """xdr_opaque(): the padding is read, and thrown away."""
        value = self.take(size)
        self.take(-size % 4)
        return value

    def counted(self, most: int) -> int:
        """The length that xdr_string(), xdr_bytes() and xdr_array() begin with."""
        size = self.unsigned()
        if size > most:
            raise RefusedError
        return size


def fields(body: Body, notation: str) -> tuple[Any, ...]:
    """Read the fields of a notation one after another. What is behind them nobody looks at."""
    return tuple(_value(body, kind) for kind in _kinds(notation))


def _kinds(notation: str) -> list[str]:
    without_products = re.sub(r"\b\w+\*\w+:\d+", "", notation)
    kinds, depth, kind = [], 0, ""
    for character in without_products + " ":
        depth += (character in "{(") - (character in "})")
        if character in " ," and not depth:
            kinds += [kind.partition(":")[2]] if kind else []
            kind = ""
        else:
            kind += character
    return kinds


def _value(body: Body, kind: str) -> Any:
    if kind.endswith("?"):
        return _value(body, kind[:-1]) if body.unsigned() != 0 else None  # xdr_pointer(): xdr_bool(), anything but 0
    if sized := re.fullmatch(r"c4\[(\d+)\]", kind):
        return _characters(body, int(sized[1])).rstrip(b"\0")
    if sized := re.fullmatch(r"c4<(\d*)>", kind):
        return _characters(body, body.counted(int(sized[1] or LONGEST_TEXT)))
    if sized := re.fullmatch(r"opaque<(\d*)>", kind):
        return body.opaque(body.counted(int(sized[1] or LONGEST_TEXT)))
    if listed := re.fullmatch(r"(.*)<(\d*)>", kind):
        return tuple(_value(body, listed[1]) for _ in range(body.counted(int(listed[2] or LONGEST_LIST))))
    if kind.startswith("{"):
        return fields(body, kind[1:-1])
    if kind in NOUNS:
        return fields(body, NOUNS[kind][1:-1])
    return _word(body, kind)


def _characters(body: Body, size: int) -> bytes:
    """xdr_char(): `*cp = (char) i`."""
    return bytes(body.unsigned() % 256 for _ in range(size))


def _word(body: Body, kind: str) -> Any:
    if bounded := re.fullmatch(r"([iu])\((?:(-?\d+),)?(\d+)\)", kind):  # ours: what a client may ask the answer to hold
        value = _word(body, bounded[1])
        if not int(bounded[2] or 0) <= value <= int(bounded[3]):
            raise RefusedError
        return value
    match kind:
        case "i" | "q":
            return int.from_bytes(body.take(4 if kind == "i" else 8), "big", signed=True)
        case "u" | "Q":
            return int.from_bytes(body.take(4 if kind == "u" else 8), "big")
        case "d":
            return body.take(8)
        case "c4":
            return body.unsigned() % 256
        case "u4":
            return body.unsigned() % 65536
        case "uuid":
            return body.opaque(16)
        case "s":
            return body.opaque(body.counted(LONGEST_TEXT)).partition(b"\0")[0]  # a C string ends there
    assert kind == "P"
    name, discriminant = _word(body, "s"), body.unsigned()
    if discriminant not in UNION:
        raise RefusedError
    return name, discriminant, _word(body, UNION[discriminant])
