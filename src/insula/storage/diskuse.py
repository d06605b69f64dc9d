"""How much a directory takes on its disk, counted no longer than one wants to wait."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

_BLOCK = 512
"""Bytes that st_blocks counts in. Source: stat(3type)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DiskUse:
    """used: bytes; partial: it may be more, for the time was over, or something could not be looked at."""

    used: int
    partial: bool


def used_below(path: Path, seconds: float) -> DiskUse:
    """Count what the files below a directory take, links not followed, for so many seconds at most.

    It may be a guest's, which moves what is in it meanwhile: each directory is entered from the one above, by its fd.
    """
    deadline = time.monotonic() + seconds
    failures: list[OSError] = []
    used = 0
    try:
        for _, _, files, directory in os.fwalk(path, onerror=failures.append, follow_symlinks=False):
            for name in (".", *files):
                try:
                    used += os.stat(name, dir_fd=directory, follow_symlinks=False).st_blocks * _BLOCK
                except OSError as error:
                    failures.append(error)
            if time.monotonic() > deadline:
                return DiskUse(used=used, partial=True)
    except OSError as error:
        failures.append(error)
    return DiskUse(used=used, partial=bool(failures))
