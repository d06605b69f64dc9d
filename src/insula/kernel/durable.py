"""Files that are whole or not there, and that are there after a loss of power where that matters."""

import os
import secrets
from contextlib import suppress
from enum import Enum
from pathlib import Path

from insula.kernel.syscall import libc

NEW_PREFIX = ".insula-new-"
"""How files begin that were being written when somebody died; nobody needs them."""

AnyPath = str | os.PathLike[str]


class Durability(Enum):
    """What a file survives, whole."""

    POWER_LOSS = "power loss"
    """Its bytes and its name are synced: it survives the host losing power."""
    PROCESS_DEATH = "process death"
    """It survives our death; on a file system in memory more means nothing."""


def replace_file(
    path: AnyPath, content: bytes, durability: Durability = Durability.POWER_LOSS, *, mode: int = 0o600
) -> None:
    """Make path hold content. Whoever reads it, at any instant, finds the old content whole or the new content whole.

    Raises: OSError, and then path is as it was.
    """
    directory = os.path.dirname(path)
    new = os.path.join(directory, f"{NEW_PREFIX}{secrets.token_hex(8)}")
    try:
        _write(new, content, durability, mode)
        os.replace(new, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(new)
        raise
    if durability is Durability.POWER_LOSS:
        sync_directory(directory)


def remove_file(path: AnyPath, durability: Durability = Durability.POWER_LOSS) -> None:
    """Remove path if it is there."""
    with suppress(FileNotFoundError):
        os.unlink(path)
    if durability is Durability.POWER_LOSS:
        sync_directory(os.path.dirname(path))


def sweep(directory: Path) -> None:
    """Remove what somebody who died left half written."""
    for each in directory.glob(f"{NEW_PREFIX}*"):
        each.unlink(missing_ok=True)


def sync_directory(path: AnyPath) -> None:
    """Make names that were made, renamed or removed in a directory survive a loss of power: fsync(2) on it."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


@libc("syncfs")
def sync_filesystem(fd: int) -> None:
    """Write everything pending on the file system that holds fd's file, in one call: syncfs(2)."""
    raise NotImplementedError


def _write(path: str, content: bytes, durability: Durability, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    try:
        remaining = memoryview(content)
        while remaining:
            remaining = remaining[os.write(descriptor, remaining) :]
        if durability is Durability.POWER_LOSS:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
