"""Files that are whole or not there: written beside, then renamed into place."""

import os
import secrets
from contextlib import suppress
from enum import Enum
from pathlib import Path

from insula.kernel.durable import sync_directory

NEW_PREFIX = ".insula-new-"
"""How files begin that were being written when somebody died; nobody needs them."""


class Durability(Enum):
    POWER_LOSS = "power loss"
    """The file survives the host losing power: its bytes and its name are synced."""
    PROCESS_DEATH = "process death"
    """The file survives our death; on a file system in memory more means nothing."""


def replace_file(path: str | os.PathLike[str], text: str, durability: Durability, *, mode: int = 0o600) -> None:
    """Make path hold text. Whoever reads it, at any instant, finds the old content whole or the new content whole.

    Raises: OSError, and then path is as it was.
    """
    directory = os.path.dirname(path)
    new = f"{directory}/{NEW_PREFIX}{secrets.token_hex(8)}"
    try:
        _write(new, text.encode(), durability, mode)
        os.replace(new, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(new)
        raise
    if durability is Durability.POWER_LOSS:
        sync_directory(directory)


def remove_file(path: Path, durability: Durability) -> None:
    """Remove path if it is there."""
    path.unlink(missing_ok=True)
    if durability is Durability.POWER_LOSS:
        sync_directory(path.parent)


def sweep(directory: Path) -> None:
    """Remove what somebody who died left half written."""
    for each in directory.glob(f"{NEW_PREFIX}*"):
        each.unlink(missing_ok=True)


def _write(path: str, data: bytes, durability: Durability, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    try:
        remaining = memoryview(data)
        while remaining:
            remaining = remaining[os.write(descriptor, remaining) :]
        if durability is Durability.POWER_LOSS:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
