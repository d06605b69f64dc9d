"""The file that a dump becomes: beside its place until it is whole, and never anybody's but its owner's."""

import errno
import fcntl
import logging
import os
import stat
from contextlib import suppress
from dataclasses import dataclass

from insula.kernel.fds import Fd

LOGGER = logging.getLogger(__name__)

SUFFIX = ".part"


@dataclass(slots=True, kw_only=True)
class ArchiveFile:
    """A file being written. fd: of it, directory: of where it is to be, name: there."""

    fd: Fd
    directory: Fd
    name: str

    @classmethod
    def begin(cls, path: str) -> "ArchiveFile":
        """Make it, for root alone. What is at the path stays until `keep`; what an earlier one left half does not.

        Raises: OSError, EINVAL for a path that is none from the root, EEXIST if something else than a file is there,
        EBUSY if another dump is being written there.
        """
        parent, name = os.path.split(path)
        if not os.path.isabs(path) or name in ("", ".", ".."):
            raise OSError(errno.EINVAL, "it is no absolute path of a file", path)
        directory = Fd(os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        try:
            with suppress(FileNotFoundError):
                if not stat.S_ISREG(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
                    raise OSError(errno.EEXIST, "something else than a regular file is there", path)
            with suppress(FileNotFoundError):
                _remove_left(name + SUFFIX, directory)
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = Fd(os.open(name + SUFFIX, flags, 0o600, dir_fd=directory))
            try:
                _lock(fd)
            except BaseException:
                os.close(fd)
                raise
            return cls(fd=fd, directory=directory, name=name)
        except BaseException:
            os.close(directory)
            raise

    def keep(self) -> None:
        """Let it be at its place, instead of what was there. Raises: OSError, and it is not."""
        os.rename(self.name + SUFFIX, self.name, src_dir_fd=self.directory, dst_dir_fd=self.directory)
        try:
            os.fsync(self.directory)
        except OSError as error:  # it is there, and only a host that goes down now may lose its name
            LOGGER.warning("the name of dump '%s' may not be on the disk yet: %s", self.name, error.strerror)

    def drop(self) -> None:
        """Let nothing of it be left."""
        with suppress(OSError):
            os.unlink(self.name + SUFFIX, dir_fd=self.directory)

    def close(self) -> None:
        """Let go of it. Called once."""
        os.close(self.fd)
        os.close(self.directory)


def _remove_left(name: str, directory: Fd) -> None:
    """Remove what an earlier dump left half. Raises: OSError, EBUSY if it is still being written."""
    left = -1
    with suppress(OSError):  # a link, say: nothing that one of ours is being written to
        left = os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    try:
        if left >= 0:
            _lock(Fd(left))
            if not os.path.samestat(os.fstat(left), os.stat(name, dir_fd=directory, follow_symlinks=False)):
                raise _busy()
        os.unlink(name, dir_fd=directory)
    finally:
        if left >= 0:
            os.close(left)


def _lock(fd: Fd) -> None:
    """Let nobody else of ours write to the file, or remove it, as long as it is open here or in a child that has it.

    Raises: OSError(EBUSY) if somebody does. A file system without locks has none.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise _busy() from error
    except OSError as error:
        LOGGER.debug("a dump is written without a lock: %s", error)


def _busy() -> OSError:
    return OSError(errno.EBUSY, "another dump is being written there")
