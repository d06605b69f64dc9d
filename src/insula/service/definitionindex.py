"""Which texts of definitions were read before, so that a daemon that restarts need not read a thousand of them first.

The definitions are the truth, and are read from the disk at every start; here stands, by the hash of a text, what it
defines. That counts for the very same reader: its modules are part of the first line. The file lies below /run, gets a
line with each definition that is saved, and may be lost or cut short at any time.
"""

import logging
import os
import secrets
from collections.abc import Collection
from hashlib import sha256
from pathlib import Path
from uuid import UUID

from insula.kernel.durable import Durability, replace_file

LOGGER = logging.getLogger(__name__)

_SPARE_LINES = 1000
"""So many lines more than definitions, and the file is written anew."""


class DefinitionIndex:
    """One file. reader: what is equal as long as every text is understood as it was."""

    def __init__(self, path: Path, reader: str) -> None:
        self._path = path
        self._first = f"{reader}\n".encode()
        self._known: dict[str, tuple[str, UUID]] = {}
        self._lines = 0
        """In the file; 0: it is not there, or not of this reader."""

    def open(self) -> None:
        """Learn what the file says. Raises nothing: without it everything is read."""
        try:
            content = self._path.read_bytes()
        except OSError:
            return
        if not content.startswith(self._first):
            return
        self._lines = 1
        whole = content[len(self._first) : content.rfind(b"\n") + 1]
        for line in whole.decode(errors="replace").splitlines():
            self._lines += 1
            words = line.split(" ", 2)
            if len(words) == 3 and len(words[1]) == 32:
                self._known[words[0]] = words[2], UUID(hex=words[1])

    def find(self, text: str) -> tuple[str, UUID] | None:
        """Return the name and the UUID of what a text defines, None if it was not read before."""
        return self._known.get(_hash(text))

    def note(self, text: str, name: str, uuid: UUID) -> None:
        """Know a text that was read, or written. If that cannot be written down, the next daemon reads it again."""
        key, known = _hash(text), (name, uuid)
        if self._known.get(key) == known:
            return
        self._known[key] = known
        if self._lines:
            self._append(_line(key, name, uuid))

    def keep_only(self, texts: Collection[str]) -> None:
        """Let the file be there, and forget all other texts than these once they are many."""
        if self._lines and self._lines <= len(texts) + _SPARE_LINES:
            return
        known = {key: self._known[key] for key in map(_hash, texts) if key in self._known}
        lines = b"".join(_line(key, name, uuid) for key, (name, uuid) in known.items())
        try:
            replace_file(self._path, self._first + lines, Durability.PROCESS_DEATH)
        except OSError as error:
            LOGGER.debug("what definitions say is not noted, and is read again by the next insulad: %s", error)
            self._lines = 0
            return
        self._known, self._lines = known, len(known) + 1

    def _append(self, line: bytes) -> None:
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                os.write(descriptor, line)
            finally:
                os.close(descriptor)
            self._lines += 1
        except OSError as error:
            LOGGER.debug("what a definition says is not noted, and is read again by the next insulad: %s", error)


def modules_of(directory: Path) -> str:
    """Return what is equal as long as the modules in a directory are; never, if they are no files."""
    try:
        with os.scandir(directory) as entries:
            modules = {each.name: each.stat() for each in entries if each.name.endswith(".py")}
    except OSError:
        return secrets.token_hex()
    found = sorted((name, status.st_size, status.st_mtime_ns) for name, status in modules.items())
    return sha256(repr(found).encode()).hexdigest()


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _line(key: str, name: str, uuid: UUID) -> bytes:
    return f"{key} {uuid.hex} {name}\n".encode()
