"""A file system that fails: the k-th call of this process that changes or syncs something below a directory."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHANGING = ("mkdir", "open", "replace", "rename", "rmdir", "symlink", "unlink", "write", "fsync")


class Faults:
    """Counts the calls that change or sync files below a directory, and lets chosen ones fail before they happen.

    number: of the call that fails, from 1; lasting: all later ones fail too. failed: what did, with its path.
    """

    def __init__(self, below: Path) -> None:
        self._below = os.fspath(below)
        self.count = 0
        self.number = 0
        self.lasting = False
        self.error = errno.EIO
        self.failed: list[tuple[str, str]] = []

    def meet(self, name: str, path: str) -> None:
        """Raises: OSError if it is this call's turn."""
        if not path.startswith(self._below):
            return
        self.count += 1
        if self.count == self.number or (self.lasting and 0 < self.number < self.count):
            self.failed.append((name, path))
            raise OSError(self.error, os.strerror(self.error), path)


@contextmanager
def faults(below: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Faults]:
    """Give the faults of what this process does below a directory while the block runs; with number 0 nothing fails."""
    found = Faults(below)
    with monkeypatch.context() as patch:
        for name in CHANGING:
            patch.setattr(os, name, _faulty(found, name, getattr(os, name)))
        yield found


def _faulty(found: Faults, name: str, call: Any) -> Any:
    def faulty(*arguments: Any, **options: Any) -> Any:
        if name != "open" or arguments[1] & (os.O_CREAT | os.O_TRUNC):
            found.meet(name, _path(name, arguments, options))
        return call(*arguments, **options)

    return faulty


def _path(name: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> str:
    if isinstance(arguments[0], int):
        try:
            return os.readlink(f"/proc/self/fd/{arguments[0]}")
        except OSError:
            return ""
    path = os.fsdecode(arguments[1] if name in ("symlink", "replace", "rename") else arguments[0])
    above = options.get("dir_fd")
    return path if above is None else f"{os.readlink(f'/proc/self/fd/{above}')}/{path}"
