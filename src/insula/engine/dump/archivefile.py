"""The file that a dump becomes: beside its place until it is whole, and never anybody's but its owner's."""

import errno
import os
import stat
from contextlib import suppress
from dataclasses import dataclass

from insula.kernel.fds import Fd

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

        Raises: OSError, EINVAL for a path that is none from the root, EEXIST if something else than a file is there.
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
                os.unlink(name + SUFFIX, dir_fd=directory)
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            return cls(fd=Fd(os.open(name + SUFFIX, flags, 0o600, dir_fd=directory)), directory=directory, name=name)
        except BaseException:
            os.close(directory)
            raise

    def keep(self) -> None:
        """Let it be at its place, instead of what was there. Raises: OSError."""
        os.rename(self.name + SUFFIX, self.name, src_dir_fd=self.directory, dst_dir_fd=self.directory)
        os.fsync(self.directory)

    def drop(self) -> None:
        """Let nothing of it be left."""
        with suppress(OSError):
            os.unlink(self.name + SUFFIX, dir_fd=self.directory)

    def close(self) -> None:
        """Let go of it. Called once."""
        os.close(self.fd)
        os.close(self.directory)
