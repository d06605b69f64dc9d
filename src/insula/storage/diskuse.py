"""How much a directory takes on its disk, counted no longer than one wants to wait."""

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

DEPTH_MAX = 64
"""Directories one below the other that are entered: each holds two descriptors of ours meanwhile."""
_BLOCK = 512
"""Bytes that st_blocks counts in. Source: stat(3type)."""
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, kw_only=True, slots=True)
class DiskUse:
    """used: bytes; partial: it may be more, for the time was over, or something could not be looked at."""

    used: int
    partial: bool


def used_below(path: Path, seconds: float) -> DiskUse:
    """Count what the files below a directory take, links not followed, for so many seconds at most.

    It may be a guest's, which moves what is in it meanwhile, and makes directories of any depth with files without
    number: each is entered from the one above, by its fd, and no more of it is in memory than an entry.
    """
    counting = _Counting(time.monotonic() + seconds)
    counting.enter(os.fspath(path), None, DEPTH_MAX)
    return DiskUse(used=counting.used, partial=counting.partial)


class _Counting:
    """Bytes so far, and whether something was left out. deadline: of time.monotonic."""

    def __init__(self, deadline: float) -> None:
        self.used = 0
        self.partial = False
        self._deadline = deadline

    def enter(self, name: str, above: int | None, depth: int) -> None:
        """Count a directory, of which name is below another one that is open. depth: how many more may be entered."""
        if not depth:
            self.partial = True
            return
        try:
            directory = os.open(name, _DIRECTORY, dir_fd=above)
            try:
                self.used += os.fstat(directory).st_blocks * _BLOCK
                with os.scandir(directory) as entries:
                    self._count(entries, directory, depth)
            finally:
                os.close(directory)
        except OSError:
            self.partial = True

    def _count(self, entries: Iterable[os.DirEntry[str]], directory: int, depth: int) -> None:
        for each in entries:
            if time.monotonic() > self._deadline:
                self.partial = True
                return
            try:
                if each.is_dir(follow_symlinks=False):
                    self.enter(each.name, directory, depth - 1)
                else:
                    self.used += each.stat(follow_symlinks=False).st_blocks * _BLOCK
            except OSError:
                self.partial = True
