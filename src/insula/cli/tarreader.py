"""Reads a tar archive that somebody else may have made: piece by piece, and never more at once than a header may have.

The library's reader takes what headers ask for, and keeps every member; an archive from a guest could ask for the
host's memory. Read are ustar with GNU's long names and the fields of pax that say a name, a link or a size; that is
what GNU tar and busybox write. Source: tar(5) of libarchive, GNU tar's manual, pax in POSIX.1-2017.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from insula.errors import OperationFailedError

BLOCK: Final = 512
HEADER_MAX: Final = 64 * 1024
"""Bytes that a long name, or one set of pax fields, may have."""
_CHUNK: Final = 128 * 1024
_OCTAL: Final = re.compile(rb"[0-7]*")
"""Not all that `int` takes: of a size below zero, a reader would read all there is."""


class MemberKind(Enum):
    """What a member is."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMBOLIC_LINK = "symbolic link"
    HARD_LINK = "hard link"
    OTHER = "device, pipe or socket"


_KINDS = {
    b"0": MemberKind.FILE,
    b"\0": MemberKind.FILE,
    b"7": MemberKind.FILE,
    b"1": MemberKind.HARD_LINK,
    b"2": MemberKind.SYMBOLIC_LINK,
    b"3": MemberKind.OTHER,
    b"4": MemberKind.OTHER,
    b"5": MemberKind.DIRECTORY,
    b"6": MemberKind.OTHER,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """One member. name, link: bytes as they stand there; size: bytes that follow; modified: seconds since 1970."""

    name: bytes
    kind: MemberKind
    mode: int
    size: int
    modified: int
    link: bytes


class TarReader:
    """Members in their order; what a caller leaves of one is passed over.

    read: returns so many bytes, fewer at the end alone.
    """

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._left = 0
        self._padding = 0

    def __iter__(self) -> Iterator[Member]:
        """Raises: OperationFailedError if it is no archive, or ends before its time."""
        longer: dict[str, bytes] = {}
        while (header := self._header()) is not None:
            kind, size = header[156:157], _number(header[124:136])
            if kind in (b"L", b"K"):
                longer["path" if kind == b"L" else "linkpath"] = self._small(size).split(b"\0")[0]
                continue
            if kind in (b"x", b"g"):
                fields = _pax(self._small(size))
                longer |= fields if kind == b"x" else {}
                continue
            if kind not in _KINDS:
                raise _bad(f"a member of the kind {kind!r}")
            member = _member(header, _KINDS[kind], size, longer)
            longer = {}
            self._left = member.size
            self._padding = -member.size % BLOCK
            yield member
            for _ in self.content():
                pass
            self._exactly(self._padding)

    def content(self) -> Iterator[bytes]:
        """What the present member holds, in pieces."""
        while self._left:
            piece = self._exactly(min(self._left, _CHUNK))
            self._left -= len(piece)
            yield piece

    def _header(self) -> bytes | None:
        """The next header; None at the archive's end, whose rest is read."""
        header = self._read(BLOCK)
        if header.count(0) == len(header):
            while self._read(_CHUNK):
                pass  # whoever writes it must not find its reader gone
            return None
        if len(header) < BLOCK:
            raise _bad("half a header")
        told = _number(header[148:156])
        if told != sum(header[:148]) + sum(header[156:]) + 8 * ord(" "):
            raise _bad("a header whose sum is wrong")
        return header

    def _small(self, size: int) -> bytes:
        if size > HEADER_MAX:
            raise _bad(f"a name of {size} bytes")
        data = self._exactly(size)
        self._exactly(-size % BLOCK)
        return data

    def _exactly(self, size: int) -> bytes:
        data = self._read(size)
        if len(data) < size:
            raise _bad("its end before its time")
        return data


def _member(header: bytes, kind: MemberKind, size: int, longer: dict[str, bytes]) -> Member:
    name, prefix = _text(header[:100]), _text(header[345:500]) if header[257:262] == b"ustar" else b""
    if header[257:265] == b"ustar  \0":
        prefix = b""  # GNU's own form has other fields there
    whole = longer.get("path") or (prefix + b"/" + name if prefix else name)
    if kind is MemberKind.FILE and whole.endswith(b"/"):
        kind = MemberKind.DIRECTORY
    if "size" in longer:
        size = _decimal(longer["size"])
    return Member(
        name=whole,
        kind=kind,
        mode=_number(header[100:108]) & 0o7777,
        size=size if kind is MemberKind.FILE else 0,
        modified=_number(header[136:148]),
        link=longer.get("linkpath") or _text(header[157:257]),
    )


def _text(field: bytes) -> bytes:
    return field.split(b"\0")[0]


def _number(field: bytes) -> int:
    """Octal digits, or GNU's binary form for what they cannot hold; negative moments count as 0."""
    if field[0] & 0x80:
        return 0 if field[0] & 0x40 else int.from_bytes(bytes((field[0] & 0x3F,)) + field[1:])
    digits = field.strip(b" \0")
    if not _OCTAL.fullmatch(digits):
        raise _bad("a header whose numbers are none")
    return int(digits or b"0", 8)


def _decimal(digits: bytes) -> int:
    if not digits.isdigit() or len(digits) > 20:
        raise _bad("a size that is no number")
    return int(digits)


def _pax(data: bytes) -> dict[str, bytes]:
    """The fields that matter here, of lines `LENGTH KEY=VALUE`."""
    found: dict[str, bytes] = {}
    while data:
        length, blank, _ = data.partition(b" ")
        if not blank or not length.isdigit() or len(length) > 6 or not len(length) + 1 < int(length) <= len(data):
            raise _bad("fields that are none")
        key, equals, value = data[len(length) + 1 : int(length)].partition(b"=")
        if not equals or not value.endswith(b"\n"):
            raise _bad("fields that are none")
        if key.startswith(b"GNU.sparse."):
            raise _bad("a file with holes")
        if key in (b"path", b"linkpath", b"size"):
            if b"\0" in value:
                raise _bad("a name with a zero in it")
            found[key.decode()] = value[:-1]
        data = data[int(length) :]
    return found


def _bad(what: str) -> OperationFailedError:
    return OperationFailedError(f"what came is no archive that can be read: it has {what}")
