"""One daemon a prefix: the directories it needs, and the lock that keeps a second one out."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from insula.errors import ConfigurationError
from insula.layout import Layout


def make_directories(layout: Layout) -> list[str]:
    """Create what is missing below the prefix; what only root may see is 0700, from the start.

    Returns what cannot be made, in words: without it some verbs fail, and others, and the guests, go on.
    Raises: ConfigurationError naming the directory without which nobody could even connect.
    """
    public = 0o755
    private = 0o700
    missing = []
    for path, mode, needed in (
        (layout.socket.parent, public, True),
        (layout.run, public, True),
        (layout.running, private, False),
        (layout.definitions, private, False),
        (layout.autostart, private, False),
        (layout.images, 0o711, False),
        (layout.clones, 0o711, False),
        (layout.state, private, False),
        (layout.logs, private, False),
        (layout.cache, private, False),
    ):
        try:
            path.parent.mkdir(mode=public, parents=True, exist_ok=True)
            path.mkdir(mode=mode, exist_ok=True)
        except OSError as error:
            text = f"cannot create the directory {path}: {error.strerror}"
            if needed:
                raise ConfigurationError(text) from error
            missing.append(text)
    return missing


@contextmanager
def only_one(layout: Layout) -> Iterator[Path]:
    """Hold the prefix's lock, which the kernel lets go of however this process ends. Yields the lock file.

    Whoever may open the file may lock it, for reading too (flock(2)): so nobody else may.
    Raises: ConfigurationError naming the daemon that has the prefix, or the file that cannot be opened.
    """
    path = layout.lock
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise ConfigurationError(f"cannot open the lock file {path}: {error.strerror}") from error
    try:
        os.fchmod(descriptor, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(descriptor, 20).decode(errors="replace").strip() or "unknown"
            raise ConfigurationError(
                f"another insulad (process {holder}) serves the prefix {layout.root}: stop it, or give --prefix"
            ) from error
        _write_number(descriptor)
        yield path
    finally:
        os.close(descriptor)


def _write_number(descriptor: int) -> None:
    """Tell whoever meets the lock who holds it. The lock holds without: a full file system keeps nobody from it.

    Over what is there, and cut off then: on a full file system in memory a file that was emptied could stay so.
    """
    text = f"{os.getpid()}\n".encode()
    with suppress(OSError):
        os.pwrite(descriptor, text, 0)
        os.ftruncate(descriptor, len(text))
