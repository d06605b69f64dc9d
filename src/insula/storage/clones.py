"""The writable layers of domains over images: one directory a domain, named by its UUID.

    UUID/image    a link whose text is the image's name: who uses what is told by names alone, whole after any crash
    UUID/upper    what the guest has changed
    UUID/work     the kernel's scratch space for the overlay

Everything is owned as the guest sees it, not shifted: the launcher maps ids when it mounts. So the directory above is
closed to everybody but root, or a guest's setuid programs would be the host's.
"""

import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from insula.kernel.durable import sync_directory
from insula.storage.atomicdirectory import PRIVATE, remove_below

_IMAGE, UPPER, WORK = "image", "upper", "work"
_NEW, _REMOVED = ".new-", ".removed-"


@dataclass(frozen=True, kw_only=True, slots=True)
class Clone:
    """One domain's layer. image: the name of the image below it."""

    uuid: UUID
    image: str
    directory: Path

    @property
    def upper(self) -> Path:
        return self.directory / UPPER

    @property
    def work(self) -> Path:
        return self.directory / WORK


class Clones:
    """The clones below one directory. What could be interrupted is made aside and renamed into place."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def find(self, uuid: UUID) -> Clone | None:
        """Return a domain's clone, None if it has none."""
        directory = self.directory / str(uuid)
        try:
            image = os.readlink(directory / _IMAGE)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return Clone(uuid=uuid, image=image, directory=directory)

    def all(self) -> Iterator[Clone]:
        """Yield every clone."""
        for name in _listed(self.directory):
            try:
                uuid = UUID(name)
            except ValueError:
                continue
            if clone := self.find(uuid):
                yield clone

    def users(self) -> Mapping[str, list[UUID]]:
        """Return which domains use each image."""
        found: dict[str, list[UUID]] = {}
        for clone in self.all():
            found.setdefault(clone.image, []).append(clone.uuid)
        return found

    def create(self, uuid: UUID, image: str, rootfs: Path) -> Clone:
        """Make a domain's clone over an image's root; nothing is copied.

        The upper directory becomes the guest's `/`, so it takes over the mode and owner of the image's.
        Raises: OSError; FileExistsError if the domain has one.
        """
        self.directory.mkdir(parents=True, exist_ok=True, mode=PRIVATE)
        directory = self.directory / str(uuid)
        new = self.directory / f"{_NEW}{uuid}-{secrets.token_hex(4)}"
        new.mkdir(mode=PRIVATE)
        try:
            top = rootfs.stat()
            (new / UPPER).mkdir()
            os.chown(new / UPPER, top.st_uid, top.st_gid)
            (new / UPPER).chmod(stat.S_IMODE(top.st_mode))
            (new / WORK).mkdir(mode=PRIVATE)
            (new / _IMAGE).symlink_to(image)
            new.rename(directory)
        except OSError as error:
            remove_below(self.directory, new.name)
            if directory.exists():
                raise FileExistsError(error.errno, f"domain {uuid} has a clone already", str(directory)) from error
            raise
        return Clone(uuid=uuid, image=image, directory=directory)

    def discard(self, uuid: UUID) -> None:
        """Remove a domain's clone with all the guest has written; no error if it has none.

        From the first moment on the domain has none, whatever happens; the rest may take seconds.
        Raises: OSError; one from the sync means that the host losing power could bring it back.
        """
        if (withdrawn := self.withdraw(uuid)) is not None:
            sync_directory(self.directory)
            self.remove(withdrawn)

    def withdraw(self, uuid: UUID) -> str | None:
        """Take a domain's clone away, in a moment; return the name to `remove`, None if it has none."""
        withdrawn = f"{_REMOVED}{uuid}-{secrets.token_hex(4)}"
        try:
            (self.directory / str(uuid)).rename(self.directory / withdrawn)
        except FileNotFoundError:
            return None
        return withdrawn

    def remove(self, withdrawn: str) -> None:
        """Remove the files of a clone that was withdrawn; it may take seconds. Raises: OSError."""
        remove_below(self.directory, withdrawn)

    def sweep(self) -> list[str]:
        """Remove what was half made or half removed when somebody died, and return its names.

        Call it when nobody makes or removes clones: before the daemon serves anybody.
        """
        doomed = [name for name in _listed(self.directory) if name.startswith((_NEW, _REMOVED))]
        for name in doomed:
            remove_below(self.directory, name)
        return doomed


def _listed(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []
