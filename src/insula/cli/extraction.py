"""Writes what an archive holds below one directory, and nowhere else, whoever made the archive.

Every member's place is looked up from the directory's descriptor, staying beneath it and through no link, neither one
that the archive brought nor one that an earlier copy did. What is made is the caller's own: no owners, no set-user-id
bits, no devices, nor any right that the caller's umask takes away.
"""

import errno
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from insula.cli.tarreader import Member, MemberKind, TarReader
from insula.errors import OperationFailedError
from insula.kernel.beneath import open_beneath

DEPTH_MAX: Final = 256
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_LATEST: Final = 2**40
"""Seconds since 1970 beyond which no file system needs to be asked."""

_Entered = tuple[tuple[str, ...], Member]


class Extraction:
    """Extracts into directory, an open descriptor that stays the caller's.

    base: what the archive's members must be, or lie below; name: what that is called in the directory. left_out: how
    many members were passed over, because they are no files, directories or links.
    """

    def __init__(self, directory: int, *, base: str, name: str) -> None:
        self._directory = directory
        self._base = base
        self._name = name
        self._entered: list[_Entered] = []
        os.umask(mask := os.umask(0o077))
        self._permitted = 0o777 & ~mask
        self.left_out = 0

    def extract(self, archive: TarReader) -> None:
        """Write it all. Raises: OperationFailedError for a member that leads elsewhere, or cannot be written."""
        for member in archive:
            place = self._place(member.name)
            self._leave(place)
            try:
                self._make(place, member, archive.content())
            except OSError as error:
                raise _failure(place, error) from error
        self._leave(())

    def _place(self, name: bytes) -> tuple[str, ...]:
        """The components of a member's place below the directory."""
        parts = [each for each in os.fsdecode(name).split("/") if each not in ("", ".")]
        base = [each for each in self._base.split("/") if each not in ("", ".")]
        if name.startswith(b"/") or ".." in parts or parts[: len(base)] != base or len(parts) > DEPTH_MAX:
            raise OperationFailedError(
                f"the guest sent '{os.fsdecode(name)[:80]}', which is not below what was asked for"
            )
        below = parts[len(base) :]
        return (self._name, *below) if self._name else tuple(below)

    def _make(self, place: tuple[str, ...], member: Member, content: Iterable[bytes]) -> None:
        if not place:
            return  # the directory itself, which is there
        parent = open_beneath(self._directory, "/".join(place[:-1]) or ".", _DIRECTORY)
        try:
            match member.kind:
                case MemberKind.DIRECTORY:
                    self._make_directory(parent, place, member)
                case MemberKind.FILE:
                    _write_file(parent, place[-1], member, content, member.mode & self._permitted)
                case MemberKind.SYMBOLIC_LINK:
                    _make_way(parent, place[-1])
                    os.symlink(member.link, os.fsencode(place[-1]), dir_fd=parent)
                case MemberKind.HARD_LINK:
                    self._link(parent, place[-1], member)
                case MemberKind.OTHER:
                    self.left_out += 1
        finally:
            os.close(parent)

    def _make_directory(self, parent: int, place: tuple[str, ...], member: Member) -> None:
        try:
            os.mkdir(place[-1], 0o700, dir_fd=parent)
        except FileExistsError:
            os.close(open_beneath(parent, place[-1], _DIRECTORY))  # it is one, and no link to one
        else:
            self._entered.append((place, member))

    def _link(self, parent: int, name: str, member: Member) -> None:
        source = self._place(member.link)
        if not source:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        there = open_beneath(self._directory, "/".join(source[:-1]) or ".", _DIRECTORY)
        try:
            _make_way(parent, name)
            os.link(source[-1], name, src_dir_fd=there, dst_dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(there)

    def _leave(self, place: tuple[str, ...]) -> None:
        """Give new directories that place is not below their modes and times: nothing more comes into them.

        Those that were there before keep theirs: who may enter them is not the archive's to say.
        """
        while self._entered and place[: len(self._entered[-1][0])] != self._entered[-1][0]:
            entered, member = self._entered.pop()
            try:
                directory = open_beneath(self._directory, "/".join(entered), _DIRECTORY)
            except FileNotFoundError:
                continue  # the archive replaced it
            try:
                os.fchmod(directory, member.mode & self._permitted)
                os.utime(directory, (member.modified % _LATEST,) * 2)
            except OSError as error:
                raise _failure(entered, error) from error
            finally:
                os.close(directory)


def _write_file(parent: int, name: str, member: Member, content: Iterable[bytes], mode: int) -> None:
    _make_way(parent, name)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, 0o600, dir_fd=parent)
    with open(descriptor, "wb", buffering=0) as file:
        for piece in content:
            view = memoryview(piece)
            while view:
                view = view[file.write(view) or 0 :]
        os.fchmod(descriptor, mode)
        os.utime(descriptor, (member.modified % _LATEST,) * 2)


def _make_way(parent: int, name: str) -> None:
    """Take away what stands at a name, so that the new thing is made anew and written through nothing."""
    with suppress(FileNotFoundError):
        if stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            raise IsADirectoryError(errno.EISDIR, "a directory stands there")
        os.unlink(name, dir_fd=parent)


def _failure(place: tuple[str, ...], error: OSError) -> OperationFailedError:
    reason = "a link or something else stands in the way" if error.errno in _IN_THE_WAY else error.strerror
    return OperationFailedError(f"cannot write '{'/'.join(place)}': {reason}")


_IN_THE_WAY = frozenset({errno.ELOOP, errno.ENOTDIR, errno.EXDEV})
