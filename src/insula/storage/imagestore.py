"""The images of an installation: one directory each, whole or not there.

    images/NAME/rootfs        the root file system, owned as the guest sees it
    images/NAME/image.json    what it is

An image is never changed: clones lie over it. How builds in progress and removals are kept apart: see `workshop`.
"""

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import platform
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

from insula.engine.codec import decode, encode, loads
from insula.errors import (
    ImageExistsError,
    ImageNotFoundError,
    InvalidArgumentError,
    OperationFailedError,
    ResourceBusyError,
)
from insula.kernel.beneath import CONTAINED, open_beneath
from insula.kernel.durable import replace_file, sync_directory, sync_filesystem
from insula.layout import Layout
from insula.storage.atomicdirectory import AtomicDirectory, remove_below, to_the_end
from insula.storage.builders.catalogue import BUILT_IN, builder_of
from insula.storage.builders.imagebuilder import ROOTFS, ImageBuilder, Progress, Recipe, Workplace
from insula.storage.clones import Clone, Clones
from insula.storage.removal import disk_usage

LOGGER = logging.getLogger(__name__)

FORMAT = 1
DESCRIPTION = "image.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}\Z")
_OS_RELEASE_MAX = 65536


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """A finished image.

    id: of this very build; created: ISO 8601 in UTC; size: bytes on disk; os, distribution, release: as the root names
    itself (`Debian GNU/Linux 13 (trixie)`, `debian`, `13`), empty if it does not.
    """

    name: str
    id: str
    recipe: Recipe
    created: str
    size: int
    os: str
    distribution: str
    release: str
    architecture: str
    format: int = FORMAT


class ImageStore:
    """The images and, because they depend on each other, the clones over them. Several processes may use one store."""

    def __init__(self, layout: Layout, builders: Sequence[ImageBuilder] = BUILT_IN) -> None:
        self._builders = builders
        self._layout = layout
        self._workshop = AtomicDirectory(layout.images)
        self.directory = layout.images
        self.clones = Clones(layout.clones)

    def all(self) -> list[Image]:
        """Return all images by name. A directory without a good description is none, and is left alone.

        Raises: OperationFailedError if one cannot be read now.
        """
        found = []
        for name in self._workshop.names():
            with contextlib.suppress(ImageNotFoundError, InvalidArgumentError):
                found.append(self.find(name))
        return found

    def find(self, name: str) -> Image:
        """Return the image of that name, which may be another name of it.

        Raises: ImageNotFoundError; InvalidArgumentError; OperationFailedError if its description cannot be read now.
        """
        check_name(name)
        try:
            data = loads(self._layout.image_description(name).read_bytes())
            return replace(decode(Image, data), name=name)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise ImageNotFoundError(f"no image named '{name}'; build it with: insula image build {name}") from error
        except OSError as error:
            raise OperationFailedError(f"the description of image '{name}' cannot be read: {error}") from error
        except ValueError as error:
            raise ImageNotFoundError(f"the description of image '{name}' is none: {error}") from error

    def rootfs(self, name: str) -> Path:
        """Return the directory with an image's root. Raises: ImageNotFoundError."""
        self.find(name)
        return self._layout.image_root(self.own_name(name))

    def own_name(self, name: str) -> str:
        """Return the name that an image was built under: what clones know it by."""
        try:
            return os.readlink(self.directory / name)
        except OSError:
            return name

    def tag(self, name: str, another: str) -> None:
        """Give an image another name. Raises: ImageNotFoundError; ImageExistsError if there is an image called so."""
        check_name(another)
        with self._workshop.locked():
            self.find(name)
            try:
                os.symlink(self.own_name(name), self.directory / another)
            except FileExistsError as error:
                raise ImageExistsError(f"there is an image '{another}' already; remove it first") from error
            sync_directory(self.directory)

    def _other_names(self, name: str) -> list[str]:
        return [each for each in self._workshop.names() if each != name and self.own_name(each) == name]

    async def build(self, name: str, recipe: Recipe, report: Callable[[Progress], None] = lambda _: None) -> Image:
        """Build an image; it appears when it is whole and on the disk, or not at all.

        It may be cancelled: every process of it has ended and every file is gone when this returns.
        Raises: ImageExistsError; ResourceBusyError if it is being built; OperationFailedError with the reason.
        """
        check_name(name)
        builder = builder_of(recipe, self._builders)
        async with self._workshop.claim(name) as (directory, lock):
            try:
                await builder.build(recipe, Workplace(directory=directory, lock=lock, report=report))
                report(Progress(phase="finishing", text="writing to disk", fraction=0.99))
                return await to_the_end(asyncio.to_thread(self._publish, name, recipe, directory))
            except OSError as error:
                raise OperationFailedError(f"cannot build image '{name}': {error}") from error

    def remove(self, name: str, names: Mapping[UUID, str] | None = None) -> None:
        """Remove an image that no domain uses, or another name of one. It may take seconds: call it in a thread.

        names: of the domains, for the error. Raises: ImageNotFoundError; ResourceBusyError naming its users.
        """
        check_name(name)
        with self._workshop.locked():
            if (self.directory / name).is_symlink():
                os.unlink(self.directory / name)
                sync_directory(self.directory)
                return
            if others := self._other_names(name):
                raise ResourceBusyError(
                    f"image '{name}' has other names, to be removed before it, or together with it: {', '.join(others)}"
                )
            users = self.used_by(name)
            if users:
                raise ResourceBusyError(f"image '{name}' is used by {self._described(users, names or {})}")
            try:
                with self._unused(name):
                    withdrawn = self._workshop.withdraw(name)
            except FileNotFoundError as error:
                raise ImageNotFoundError(f"no image named '{name}'") from error
        try:
            self._workshop.discard(withdrawn)
        except OSError as error:
            LOGGER.warning("image '%s' is gone, its files only by the daemon's next start: %s", name, error)

    @contextlib.contextmanager
    def _unused(self, name: str) -> Iterator[None]:
        """Keep programs from using an image (`engine.imageuse`) while it is withdrawn. Raises: ResourceBusyError."""
        with self._layout.image_description(name).open("rb") as description:
            try:
                fcntl.flock(description, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ResourceBusyError(f"image '{name}' is used by a container of a program's own") from error
            yield

    def _described(self, users: Sequence[UUID], names: Mapping[UUID, str]) -> str:
        """Return who uses an image and what to do about it; a domain that was undefined may have left its clone."""
        defined = sorted(names[uuid] for uuid in users if uuid in names)
        left = sorted(str(uuid) for uuid in users if uuid not in names)
        parts = []
        if defined:
            parts.append(f"the domains {', '.join(defined)}; remove them with their files first: insula rm")
        if left:
            parts.append(
                "files that undefined domains left; define them again, or remove them by insula image prune: "
                + ", ".join(left)
            )
        return "; and by ".join(parts)

    def used_by(self, name: str) -> list[UUID]:
        """Return which domains use an image."""
        return list(self.clones.users().get(self.own_name(name), []))

    def clone(self, name: str, uuid: UUID) -> Clone:
        """Return a domain's clone of an image, making it where it is missing; nothing is copied.

        Raises: ImageNotFoundError; ResourceBusyError if the domain has a clone of another image.
        """
        with self._workshop.locked():
            rootfs, name = self.rootfs(name), self.own_name(name)
            clone = self.clones.find(uuid)
            if clone is None:
                return self.clones.create(uuid, name, rootfs)
        if clone.image != name:
            raise ResourceBusyError(
                f"domain {uuid} has written to its clone of image '{clone.image}', so it cannot have one of '{name}'; "
                "discard the clone first"
            )
        return clone

    def sweep(self) -> list[str]:
        """Remove what killed builds and removals left, and return its names; call it when the daemon starts."""
        return [*self._workshop.sweep(), *self.clones.sweep()]

    def _publish(self, name: str, recipe: Recipe, directory: Path) -> Image:
        """Describe what was built, bring it to the disk, and give it its name. A builder's scratch files go."""
        names = _os_release(directory / ROOTFS)
        image = Image(
            name=name,
            id=str(uuid4()),
            recipe=recipe,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            size=disk_usage(directory / ROOTFS),
            os=names.get("PRETTY_NAME", ""),
            distribution=names.get("ID", ""),
            release=names.get("VERSION_ID", ""),
            architecture=platform.machine(),
        )
        for each in os.listdir(directory):
            if each != ROOTFS:
                remove_below(directory, each)
        replace_file(directory / DESCRIPTION, json.dumps(encode(image), indent=1).encode(), mode=0o644)
        filesystem = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            sync_filesystem(filesystem)
        finally:
            os.close(filesystem)
        self._workshop.publish(directory, name)
        return image


def check_name(name: str) -> None:
    """Raises: InvalidArgumentError if name cannot be an image's."""
    if not _NAME.match(name):
        raise InvalidArgumentError(
            f"'{name}' cannot name an image: expected 1 to 64 letters, digits and '.', '_', '+', '-', "
            "beginning with a letter or digit"
        )


def _os_release(rootfs: Path) -> Mapping[str, str]:
    """Return what the root says of itself: os-release(5). Links in it count as the guest sees them: none leads out."""
    root = os.open(rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for place in ("etc/os-release", "usr/lib/os-release"):
            with contextlib.suppress(OSError):
                with open(open_beneath(root, place, os.O_RDONLY | os.O_NONBLOCK, resolve=CONTAINED), "rb") as file:
                    lines = file.read(_OS_RELEASE_MAX).decode(errors="replace").splitlines()
                return {key: value.strip("\"'") for key, _, value in (line.partition("=") for line in lines)}
    finally:
        os.close(root)
    return {}
