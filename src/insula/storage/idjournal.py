"""The file that says which domain has which ids: a line a change, so that one costs the same however many there are.

The first line is its format; each other one gives a domain a range, or takes it back, and the latest counts. A reader
reads what was appended since; a rewriting under another inode is seen, and read whole. What a writer left half written,
when it died or the disk was full, is cut off by the next; anything else that cannot be understood is an error.

Nothing is synced when it is appended: a loss of power ends every guest, and a domain may get other ids then.
"""

import contextlib
import errno
import json
import os
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from uuid import UUID

from insula.engine.codec import loads
from insula.kernel.durable import Commit, replace_file
from insula.storage.idpools import common

HEADER = {"format": 2}
_SPARE_LINES = 1000
"""So many changes more than domains, and the file is written anew."""


class IdJournal:
    """One file. Whoever appends holds the installation's lock."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: tuple[int, int] | None = None
        self._size = 0
        self._lines = 0
        self._given: dict[UUID, range] = {}

    @property
    def mark(self) -> object:
        """What is equal as long as nothing was appended, by anybody, and seen here by `read`."""
        return self._file, self._size

    def read(self) -> Mapping[UUID, range]:
        """Return what is given now; not to be kept beyond the next call.

        Raises: FileNotFoundError; OSError if it cannot be read just now; ValueError if it makes no sense.
        """
        descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            status = os.fstat(descriptor)
            if self._file != (status.st_dev, status.st_ino) or status.st_size < self._size:
                self._forget()
                self._file = (status.st_dev, status.st_ino)
            if status.st_size > self._size:
                self._apply(_whole_lines(_read(descriptor, self._size, status.st_size)))
        except BaseException:
            self._forget()
            raise
        finally:
            os.close(descriptor)
        if not self._lines:
            raise ValueError("it has not even a first line")
        return self._given

    def append(self, uuid: UUID, ids: range | None) -> None:
        """Give a domain a range, or take its back. Raises: as `read`, and nothing has changed."""
        line = _line(uuid, ids)
        if self._file is None:
            self.read()  # what stands behind the part that is known is cut off
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            os.ftruncate(descriptor, self._size)  # what a writer that died left half written
            try:
                written = os.write(descriptor, line)
            except OSError:
                os.ftruncate(descriptor, self._size)
                raise
            if written < len(line):
                os.ftruncate(descriptor, self._size)
                raise OSError(errno.ENOSPC, "no space left on device", os.fspath(self._path))
        finally:
            os.close(descriptor)
        self._apply(line)
        if self._lines > 2 * len(self._given) + _SPARE_LINES:
            with contextlib.suppress(OSError):  # it is whole as it is, only longer than it need be
                self.rewrite(dict(self._given))

    def rewrite(self, given: Mapping[UUID, range]) -> Commit:
        """Let the file say this and nothing else. Raises: OSError, and it is as it was."""
        lines = [json.dumps(HEADER).encode() + b"\n", *(_line(uuid, ids) for uuid, ids in sorted(given.items()))]
        commit = replace_file(self._path, b"".join(lines))
        self._forget()
        return commit

    def _forget(self) -> None:
        self._file, self._size, self._lines, self._given = None, 0, 0, {}

    def _apply(self, data: bytes) -> None:
        first = not self._lines
        for line in data.splitlines():
            if first:
                if loads(line) != HEADER:
                    raise ValueError("no list of id ranges of this format")
                first = False
            else:
                uuid, ids = _parsed(line)
                self._given.pop(uuid, None)
                if ids is not None:
                    self._given[uuid] = ids
            self._lines += 1
        whole = self._size == 0
        self._size += len(data)
        if whole:
            _refuse_shared(self._given)


def read_former(path: Path) -> Mapping[UUID, range]:
    """Return what the file of the former format says, which was written whole: guests that were started with those ids
    may still be running.

    Raises: FileNotFoundError; OSError if it cannot be read just now; ValueError if it makes no sense.
    """
    content = loads(path.read_bytes())
    if not isinstance(content, dict) or content.get("format") != 1 or not isinstance(content.get("ranges"), dict):
        raise ValueError("no list of id ranges of the former format")
    given = {UUID(uuid): _range(pair) for uuid, pair in content["ranges"].items()}
    _refuse_shared(given)
    return given


def _read(descriptor: int, start: int, end: int) -> bytes:
    data = os.pread(descriptor, end - start, start)
    while len(data) < end - start and (more := os.pread(descriptor, end - start - len(data), start + len(data))):
        data += more
    return data


def _whole_lines(data: bytes) -> bytes:
    return data[: data.rfind(b"\n") + 1]


def _line(uuid: UUID, ids: range | None) -> bytes:
    pair = None if ids is None else [ids.start, len(ids)]
    return json.dumps({"domain": str(uuid), "ids": pair}).encode() + b"\n"


def _parsed(line: bytes) -> tuple[UUID, range | None]:
    content = loads(line)
    if not isinstance(content, dict) or not isinstance(content.get("domain"), str):
        raise ValueError(f"{line!r} gives no ids to a domain")
    pair = content.get("ids")
    if pair is None:
        return UUID(content["domain"]), None
    return UUID(content["domain"]), _range(pair)


def _range(pair: object) -> range:
    if not (isinstance(pair, list) and len(pair) == 2 and all(type(each) is int and each > 0 for each in pair)):
        raise ValueError(f"{pair} is no range of ids")
    return range(pair[0], pair[0] + pair[1])


def _refuse_shared(given: Mapping[UUID, range]) -> None:
    ordered = sorted(given.values(), key=lambda ids: ids.start)
    for lower, upper in pairwise(ordered):
        if common(lower, upper):
            raise ValueError(f"two domains have the ids from {upper.start}")
