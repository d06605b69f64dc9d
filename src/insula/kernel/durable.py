"""Making sure that what was written is there after a loss of power."""

import os
import secrets
from pathlib import Path

from insula.kernel.syscall import libc


@libc("syncfs")
def sync_filesystem(fd: int) -> None:
    """Write everything pending on the file system that holds fd's file, in one call: syncfs(2)."""
    raise NotImplementedError


def sync_directory(path: str | os.PathLike[str]) -> None:
    """Make names that were made, renamed or removed in a directory survive a loss of power: fsync(2) on it."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def replace_durably(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Make path hold content: whoever reads it, also after a crash, finds the old or the new content, whole.

    Raises: OSError, and then path is as it was.
    """
    new = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
    try:
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
        with open(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(fd)
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)
