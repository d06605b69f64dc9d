"""Files that are whole or not there, and that are there after a loss of power where that matters.

Every change has one instant at which it happens. What fails before it raises, and nothing has changed; what fails
behind it (the sync of a name that is there already) is told by the `Commit` that is returned.
"""

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum

from insula.kernel.syscall import libc

NEW_PREFIX = ".insula-new-"
"""How files begin that were being written when somebody died; nobody needs them."""

_CHUNK = 65536

AnyPath = str | os.PathLike[str]


class Durability(Enum):
    """What a file survives, whole."""

    POWER_LOSS = "power loss"
    """Its bytes and its name are synced: it survives the host losing power."""
    PROCESS_DEATH = "process death"
    """It survives our death; on a file system in memory more means nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Commit:
    """A change that has happened: every reader sees it, and so does the next process.

    unsynced: why the kernel may still lose it with the host's power, None if it cannot. Whoever changed something
    behind this file follows the change all the same; to call it a failure would make memory and disk disagree.
    """

    unsynced: OSError | None = None

    def __str__(self) -> str:
        return "" if self.unsynced is None else f"it may be lost with the host's power: {self.unsynced}"


def replace_file(
    path: AnyPath, content: bytes, durability: Durability = Durability.POWER_LOSS, *, mode: int = 0o600
) -> Commit:
    """Make path hold content. Whoever reads it, at any instant, finds the old content whole or the new content whole.

    Raises: OSError, and then path is as it was. What fails behind the rename is in what is returned.
    """
    new = os.path.join(os.path.dirname(path), f"{NEW_PREFIX}{secrets.token_hex(8)}")

    def change() -> None:
        try:
            _write(new, content, durability, mode)
            os.replace(new, path)
        except BaseException as error:
            with suppress(OSError):  # a file system that fails keeps it; whoever starts next sweeps it
                os.unlink(new)
            if isinstance(error, OSError):  # write(2) names no file, and the new one's name tells nobody anything
                raise OSError(error.errno, error.strerror, os.fspath(path)) from error
            raise

    return _committed(path, durability, change)


def make_link(path: AnyPath, target: str, durability: Durability = Durability.POWER_LOSS) -> Commit:
    """Make path a symbolic link to target. Raises: OSError, FileExistsError too, and then path is as it was."""
    return _committed(path, durability, lambda: os.symlink(target, path))


def make_mark(path: AnyPath, durability: Durability = Durability.POWER_LOSS) -> Commit:
    """Make an empty file, unless it is there: what counts is its name. Raises: OSError, and nothing has changed."""

    def change() -> None:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))

    return _committed(path, durability, change)


def remove_file(path: AnyPath, durability: Durability = Durability.POWER_LOSS) -> Commit:
    """Remove path if it is there. Raises: OSError, and then it is there still."""

    def change() -> None:
        with suppress(FileNotFoundError):
            os.unlink(path)

    return _committed(path, durability, change)


def _committed(path: AnyPath, durability: Durability, change: Callable[[], None]) -> Commit:
    """Perform a change of one name, and bring it to the disk.

    The directory is opened before: a process without descriptors must fail while nothing has changed.
    """
    if durability is Durability.PROCESS_DEATH:
        change()
        return Commit()
    directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        change()
        try:
            os.fsync(directory)
        except OSError as error:
            return Commit(unsynced=OSError(error.errno, error.strerror, os.fspath(path)))
        return Commit()
    finally:
        os.close(directory)


def sweep(directory: AnyPath) -> OSError | None:
    """Remove what somebody who died left half written; return what stood in the way, None if all of it is gone."""
    try:
        for name in os.listdir(directory):
            if name.startswith(NEW_PREFIX):
                with suppress(FileNotFoundError):
                    os.unlink(os.path.join(directory, name))
    except FileNotFoundError:
        return None
    except OSError as error:
        return error
    return None


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


def whole_text(path: str) -> str:
    """Return what a file says, in as few calls as can be: a daemon that begins reads thousands. Raises: OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        content = os.read(descriptor, os.fstat(descriptor).st_size + 1)
        while more := os.read(descriptor, _CHUNK):
            content += more
    finally:
        os.close(descriptor)
    return content.decode()
