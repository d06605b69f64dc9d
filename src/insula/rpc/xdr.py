"""XDR: how single values travel, and what is made of them. Every value takes a multiple of four bytes, big-endian.

Read is whatever the C library reads, which clients written in other languages rely on without knowing: any number but
zero says that a value follows, padding may be anything, a character or short is the low bits of its four bytes, and a
text ends at its first zero byte. Written is what RFC 4506 demands.

Whatever bytes come in, `unpack` raises `RpcError` or struct.error (cut short), nothing else; `notation.Record` turns
the latter into the former. Sources: RFC 4506; virnetprotocol.x for the limits; and the C library's xdr_bool, xdr_char,
xdr_short, xdr_opaque and xdr_string.
"""

import contextlib
import re
from collections.abc import Callable, Sequence
from struct import Struct
from typing import Any, Final, NamedTuple

from insula.errors import RpcError
from insula.rpc.packedlist import PackedList

STRING_MAX: Final = 4 * 1024 * 1024
"""Bytes of a text on the wire."""
LIST_MAX: Final = 16384
"""Members of a list that states no limit of its own."""

_DECLARED: Final = re.compile(
    rb"""<\?xml[^>]{1,100}?\sencoding\s*=\s*["'](iso-?8859-[0-9]{1,2}|windows-125[0-8]|koi8-[ru])["']""", re.IGNORECASE
)
"""The encoding of a document with one byte a character: others may be costly to decode, or give half characters."""

Pack = Callable[[Any], bytes]
Unpack = Callable[[bytes, int], tuple[Any, int]]

U32: Final = Struct(">I")
_PADDING: Final = (b"", b"\0\0\0", b"\0\0", b"\0")
"""What follows a text whose length modulo four is 0, 1, 2, 3."""


class Codec(NamedTuple):
    """How one value travels.

    pack: value to bytes. unpack: bytes and an offset to the value and the offset behind it.
    format: the struct letter of a value that is exactly one, so that neighbours are packed together; else empty.
    """

    pack: Pack
    unpack: Unpack
    format: str = ""


# Values of fixed size


def number(letter: str) -> Codec:
    """An integer or a float, by its struct letter."""
    packing = Struct(f">{letter}")
    pack, unpack_from, size = packing.pack, packing.unpack_from, packing.size

    def unpack(data: bytes, at: int) -> tuple[Any, int]:
        return unpack_from(data, at)[0], at + size

    return Codec(pack, unpack, letter)


def bounded(letter: str, lowest: int, highest: int) -> Codec:
    """An integer, by its struct letter, from lowest to highest: what says how much the answer may hold."""
    pack, unpack_number, _ = number(letter)

    def unpack(data: bytes, at: int) -> tuple[int, int]:
        value, stop = unpack_number(data, at)
        if not lowest <= value <= highest:
            raise RpcError(f"{value} where {lowest} to {highest} is allowed")
        return value, stop

    return Codec(pack, unpack)


def small(limit: int) -> Codec:
    """An unsigned char or short: four bytes of which the bits of `limit` count."""

    def pack(value: int) -> bytes:
        if not 0 <= value <= limit:
            raise RpcError(f"{value} does not fit a field for 0 to {limit}")
        return U32.pack(value)

    def unpack(data: bytes, at: int) -> tuple[int, int]:
        return U32.unpack_from(data, at)[0] & limit, at + 4

    return Codec(pack, unpack)


def _pack_uuid(value: bytes) -> bytes:
    if len(value) != 16:
        raise RpcError(f"a UUID of {len(value)} bytes instead of 16")
    return bytes(value)


def _unpack_uuid(data: bytes, at: int) -> tuple[bytes, int]:
    value = data[at : at + 16]
    if len(value) != 16:
        raise RpcError("the body ends inside a UUID")
    return value, at + 16


UUID: Final = Codec(_pack_uuid, _unpack_uuid)
"""Sixteen raw bytes."""


# Text and bytes


def _pack_text(value: str) -> bytes:
    raw = value.encode(errors="surrogateescape")
    size = len(raw)
    if size > STRING_MAX or b"\0" in raw:
        raise RpcError(f"a text of {size} bytes is too long, or has a zero byte inside")
    return U32.pack(size) + raw + _PADDING[size & 3]


def _unpack_text(data: bytes, at: int) -> tuple[str, int]:
    raw, stop = _unpack_bytes(data, at, STRING_MAX)
    if b"\0" in raw:
        raw = raw[: raw.index(b"\0")]
    try:
        return raw.decode(), stop
    except UnicodeDecodeError:
        return _decoded_as_declared(raw), stop


def _unpack_bytes(data: bytes, at: int, limit: int) -> tuple[bytes, int]:
    """Return what a length, its bytes and their padding say, and the offset behind."""
    (size,) = U32.unpack_from(data, at)
    at += 4
    stop = at + size + (-size & 3)
    if size > limit or stop > len(data):
        raise RpcError(f"{size} bytes, which are cut short or more than {limit}")
    return data[at : at + size], stop


def _decoded_as_declared(raw: bytes) -> str:
    """Read what is not UTF-8: a document by its declaration, as clients send files as they are; else byte by byte.

    Bytes that mean nothing become half surrogates, as in names of files: such a text is equal to nothing that is known,
    is refused where it would be kept, and is the same bytes again when it is sent. Source: XML 1.0, 4.3.3; PEP 383.
    """
    if (declared := _DECLARED.match(raw)) is not None:
        with contextlib.suppress(LookupError, UnicodeDecodeError):
            return raw.decode(declared[1].decode())
    return raw.decode(errors="surrogateescape")


TEXT: Final = Codec(_pack_text, _unpack_text)
"""Length, UTF-8 (an XML document may declare otherwise), padding; ends at a zero byte, as C strings do."""


def opaque(limit: int) -> Codec:
    """Length, at most `limit` raw bytes, padding."""

    def pack(value: bytes) -> bytes:
        size = len(value)
        if size > limit:
            raise RpcError(f"{size} bytes where at most {limit} fit")
        return U32.pack(size) + value + _PADDING[size & 3]

    def unpack(data: bytes, at: int) -> tuple[bytes, int]:
        return _unpack_bytes(data, at, limit)

    return Codec(pack, unpack)


def characters(limit: int) -> Codec:
    """Count, and at most `limit` characters of four bytes each, of which the last counts; the value is bytes."""

    def pack(value: bytes) -> bytes:
        if len(value) > limit:
            raise RpcError(f"{len(value)} characters where at most {limit} fit")
        return U32.pack(len(value)) + _widen(value)

    def unpack(data: bytes, at: int) -> tuple[bytes, int]:
        (size,) = U32.unpack_from(data, at)
        if size > limit:
            raise RpcError(f"{size} characters where at most {limit} fit")
        return _narrow(data, at + 4, size)

    return Codec(pack, unpack)


def characters_fixed(size: int) -> Codec:
    """Exactly `size` characters of four bytes each; the value is bytes, without the zeros that fill it up."""

    def pack(value: bytes) -> bytes:
        if len(value) > size:
            raise RpcError(f"{len(value)} characters where at most {size} fit")
        return _widen(value.ljust(size, b"\0"))

    def unpack(data: bytes, at: int) -> tuple[bytes, int]:
        value, stop = _narrow(data, at, size)
        return value.rstrip(b"\0"), stop

    return Codec(pack, unpack)


def _widen(value: bytes) -> bytes:
    """Each byte as C's XDR sends a char: sign-extended to four."""
    return Struct(f">{len(value)}i").pack(*(byte - 256 if byte > 127 else byte for byte in value))


def _narrow(data: bytes, at: int, size: int) -> tuple[bytes, int]:
    stop = at + 4 * size
    if stop > len(data):
        raise RpcError(f"the body ends inside {size} characters")
    return data[at + 3 : stop : 4], stop


# What is made of others


def optional(codec: Codec) -> Codec:
    """A value or None."""
    pack_value, unpack_value = codec.pack, codec.unpack
    present, absent = U32.pack(1), U32.pack(0)

    def pack(value: Any) -> bytes:
        return absent if value is None else present + pack_value(value)

    def unpack(data: bytes, at: int) -> tuple[Any, int]:
        (given,) = U32.unpack_from(data, at)
        return unpack_value(data, at + 4) if given else (None, at + 4)

    return Codec(pack, unpack)


def list_of(codec: Codec, limit: int) -> Codec:
    """Count, and at most `limit` members; the value comes back as a tuple."""
    pack_one, unpack_one = codec.pack, codec.unpack

    def pack(value: Sequence[Any] | PackedList) -> bytes:
        if isinstance(value, PackedList):
            return value.packed(limit)
        if len(value) > limit:
            raise RpcError(f"{len(value)} members in a list of at most {limit}")
        return U32.pack(len(value)) + b"".join(map(pack_one, value))

    def unpack(data: bytes, at: int) -> tuple[tuple[Any, ...], int]:
        (size,) = U32.unpack_from(data, at)
        if size > limit:
            raise RpcError(f"{size} members in a list of at most {limit}")
        at += 4
        members = []
        for _ in range(size):
            member, at = unpack_one(data, at)
            members.append(member)
        return tuple(members), at

    return Codec(pack, unpack)


def sequence_of(codecs: Sequence[Codec], make: Callable[[Any], Any]) -> Codec:
    """Fields one after another; `make` turns the list of their values into one.

    Neighbours of fixed size go through one call of struct.
    """
    packers: list[Pack] = []
    readers: list[Callable[[bytes, int, list[Any]], int]] = []
    first = 0
    while first < len(codecs):
        last = first
        while last < len(codecs) and codecs[last].format:
            last += 1
        if last > first:
            run = Struct(">" + "".join(codec.format for codec in codecs[first:last]))
            packers.append(_run_packer(run, first, last))
            readers.append(_run_reader(run))
            first = last
        else:
            packers.append(_packer(codecs[first].pack, first))
            readers.append(_reader(codecs[first].unpack))
            first += 1

    def pack(values: Sequence[Any]) -> bytes:
        if len(values) != len(codecs):
            raise RpcError(f"{len(values)} values given for a record of {len(codecs)} fields")
        return b"".join([packer(values) for packer in packers])

    def unpack(data: bytes, at: int) -> tuple[Any, int]:
        values: list[Any] = []
        for reader in readers:
            at = reader(data, at, values)
        return make(values), at

    return Codec(pack, unpack)


def _run_packer(run: Struct, first: int, last: int) -> Pack:
    pack = run.pack
    return lambda values: pack(*values[first:last])


def _packer(pack: Pack, index: int) -> Pack:
    return lambda values: pack(values[index])


def _run_reader(run: Struct) -> Callable[[bytes, int, list[Any]], int]:
    unpack_from, size = run.unpack_from, run.size

    def read(data: bytes, at: int, values: list[Any]) -> int:
        values += unpack_from(data, at)
        return at + size

    return read


def _reader(unpack: Unpack) -> Callable[[bytes, int, list[Any]], int]:
    def read(data: bytes, at: int, values: list[Any]) -> int:
        value, at = unpack(data, at)
        values.append(value)
        return at

    return read
