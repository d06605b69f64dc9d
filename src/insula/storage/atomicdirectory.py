"""Making and removing directories so that others see them whole or not at all, whoever dies at whatever moment.

.lock            held for the short moments in which names appear, disappear, or come into use
.building-NAME   work in progress; the directory is locked as long as one process of that work lives
.removed-…       on its way out
"""

import asyncio
import contextlib
import fcntl
import os
import secrets
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

from insula.errors import ImageExistsError, ResourceBusyError
from insula.kernel.durable import sync_directory
from insula.storage.removal import remove_tree

T = TypeVar("T")

PRIVATE = 0o700
"""Whoever could reach a guest's files from the host could run its setuid programs there."""
_LOCK, _BUILDING, _REMOVED = ".lock", ".building-", ".removed-"


class AtomicDirectory:
    """A directory whose entries are made aside and renamed into place. Several processes may work in it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def names(self) -> list[str]:
        """Return the names of what is finished, sorted."""
        return sorted(name for name in self._listed() if not name.startswith("."))

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the workshop's lock: for moments only, never over the work itself."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=PRIVATE)
        lock = os.open(self.directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    @contextlib.asynccontextmanager
    async def claim(self, name: str) -> AsyncIterator[tuple[Path, int]]:
        """Give an empty directory to make name in, and its lock, to be inherited by processes that work in it.

        What has not been published when the block ends is removed.
        Raises: ImageExistsError; ResourceBusyError if somebody is making it.
        """
        directory = self.directory / f"{_BUILDING}{name}"
        left_over, lock = self._claimed(name, directory)
        try:
            if left_over:
                await to_the_end(asyncio.to_thread(self.discard, left_over))
            yield directory, lock
        finally:
            os.close(lock)
            await to_the_end(asyncio.to_thread(self._give_up, directory))

    def publish(self, directory: Path, name: str) -> None:
        """Give a finished directory, which is on the disk already, its name for good."""
        with self.locked():
            directory.rename(self.directory / name)
            sync_directory(self.directory)

    def withdraw(self, name: str) -> str:
        """Take a name away at once, for good, and return what is left to `discard`. The lock must be held.

        Raises: FileNotFoundError.
        """
        removed = _removed_name()
        (self.directory / name).rename(self.directory / removed)
        sync_directory(self.directory)
        return removed

    def discard(self, name: str) -> None:
        """Remove what was withdrawn. It may take seconds, and be interrupted: `sweep` does the rest."""
        remove_below(self.directory, name)

    def sweep(self) -> list[str]:
        """Remove what dead processes left, and return its names. What is still being worked on stays."""
        swept = []
        for name in self._listed():
            if name.startswith(_REMOVED):
                self.discard(name)
                swept.append(name)
            elif name.startswith(_BUILDING):
                with self.locked():
                    left_over = self._abandoned(name)
                if left_over:
                    self.discard(left_over)
                    swept.append(name)
        return swept

    def _claimed(self, name: str, directory: Path) -> tuple[str | None, int]:
        """Make the directory; return what a dead process left under its name, moved aside, and the lock."""
        left_over = None
        with self.locked():
            if os.path.lexists(self.directory / name):
                raise ImageExistsError(f"'{name}' exists; remove it first, or choose another name")
            if directory.exists():
                left_over = self._abandoned(directory.name)
                if left_over is None:
                    raise ResourceBusyError(f"'{name}' is being built")
            directory.mkdir(mode=PRIVATE)
            return left_over, _lock_of(directory)

    def _abandoned(self, name: str) -> str | None:
        """Move work in progress aside if all its processes are dead, and return its new name. The lock must be held."""
        try:
            lock = os.open(self.directory / name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        finally:
            os.close(lock)
        removed = _removed_name()
        (self.directory / name).rename(self.directory / removed)
        return removed

    def _give_up(self, directory: Path) -> None:
        removed = _removed_name()
        try:
            directory.rename(self.directory / removed)
        except FileNotFoundError:
            return
        self.discard(removed)

    def _listed(self) -> list[str]:
        try:
            return os.listdir(self.directory)
        except FileNotFoundError:
            return []


def _removed_name() -> str:
    return f"{_REMOVED}{secrets.token_hex(8)}"


def _lock_of(directory: Path) -> int:
    """Return an fd that holds the directory's lock; every process that inherits it holds it too. Source: flock(2)."""
    lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def remove_below(directory: Path, name: str) -> None:
    """Remove name, whatever is in it, from a directory of ours."""
    parent = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        remove_tree(parent, name)
    finally:
        os.close(parent)


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Wait until work is done even if the task is cancelled meanwhile: a thread cannot be stopped half-way."""
    running = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise
