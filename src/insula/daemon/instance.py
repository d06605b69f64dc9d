"""One daemon a prefix: the directories it needs, and the lock that keeps a second one out."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from insula.errors import ConfigurationError
from insula.layout import Layout


def make_directories(layout: Layout) -> None:
    """Create what is missing below the prefix; what only root may see is 0700, from the start.

    Raises: ConfigurationError naming the directory that cannot be made.
    """
    public = 0o755
    private = 0o700
    for path, mode in (
        (layout.socket.parent, public),
        (layout.run, public),
        (layout.running, private),
        (layout.definitions, private),
        (layout.autostart, private),
        (layout.images, 0o711),
        (layout.clones, 0o711),
        (layout.state, private),
        (layout.logs, private),
        (layout.cache, private),
    ):
        try:
            path.parent.mkdir(mode=public, parents=True, exist_ok=True)
            path.mkdir(mode=mode, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"cannot create the directory {path}: {error.strerror}") from error


@contextmanager
def only_one(layout: Layout) -> Iterator[Path]:
    """Hold the prefix's lock, which the kernel lets go of however this process ends. Yields the lock file.

    Whoever may open the file may lock it, for reading too (flock(2)): so nobody else may.
    Raises: ConfigurationError naming the daemon that has the prefix, or the file that cannot be opened.
    """
    path = layout.run / "insulad.pid"
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
                f"another insulad (process {holder}) serves the prefix {layout.prefix}: stop it, or give --prefix"
            ) from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield path
    finally:
        os.close(descriptor)
