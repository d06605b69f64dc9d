"""The plug point for what a guest sees at `/`: one class a kind of `<filesystem>` with that target, in `built_in`.

A driver says whether it can serve a definition, prepares the root before a start, and discards what belongs to a domain
when the domain goes. The next ones (btrfs, ZFS, volumes) are one class and one word in the tuple each.
"""

import os
from collections.abc import Callable
from typing import Protocol
from uuid import UUID

from insula.engine.spec import DirectoryRoot, IdMap, ImageRoot, OverlayRoot, Root
from insula.errors import UnsupportedConfigError
from insula.model.domain import DomainDefinition
from insula.model.filesystems import Filesystem, FilesystemType
from insula.storage.imagestore import ImageStore
from insula.storage.partitiontable import place_in
from insula.storage.sources import (
    access_of,
    belongs_to,
    device_source,
    directory_source,
    file_source,
    refuse_ignored,
    refuse_other_formats,
)


class RootDriver(Protocol):
    """One kind of root. type: the word in `<filesystem type=''>`."""

    type: FilesystemType

    def check(self, filesystem: Filesystem) -> None:
        """Refuse a definition that could never start. Touches nothing; what is missing the model has refused.

        Raises: UnsupportedConfigError for what cannot be had yet.
        """
        ...

    def prepare(self, filesystem: Filesystem, uuid: UUID, idmap: IdMap | None) -> Root:
        """Make the root ready for a start, and say what it is. The second time it finds what the first time made.

        Raises: UnsupportedConfigError, ImageNotFoundError, ResourceBusyError, OSError.
        """
        ...

    def discard(self, uuid: UUID) -> None:
        """Remove what prepare made for a domain; nothing else. It may take seconds: call it in a thread."""
        ...


class TemplateRoot:
    """`type='template'`: a copy-on-write clone of an image, made at the first start, living as long as the domain."""

    type = FilesystemType.TEMPLATE

    def __init__(self, images: ImageStore) -> None:
        self._images = images

    def check(self, filesystem: Filesystem) -> None:
        refuse_ignored(filesystem)

    def prepare(self, filesystem: Filesystem, uuid: UUID, idmap: IdMap | None) -> Root:
        image = filesystem.source.name or ""
        clone = self._images.clone(image, uuid)
        return OverlayRoot(
            lower=(str(self._images.rootfs(image)),),
            upper=str(clone.upper),
            work=str(clone.work),
            access=access_of(filesystem),
        )

    def discard(self, uuid: UUID) -> None:
        self._images.clones.discard(uuid)


class MountRoot:
    """`type='mount'`: a directory of the host, the administrator's own: never made, never removed."""

    type = FilesystemType.MOUNT

    def check(self, filesystem: Filesystem) -> None:
        refuse_ignored(filesystem)

    def prepare(self, filesystem: Filesystem, uuid: UUID, idmap: IdMap | None) -> Root:
        path = directory_source(filesystem)
        if os.path.samefile(path, "/"):
            raise UnsupportedConfigError(
                "the root of a domain cannot be the host's own: its init would be the host's, with the host's files"
            )
        return DirectoryRoot(
            path=path, access=access_of(filesystem), idmapped=filesystem.is_mapped and not belongs_to(path, idmap)
        )

    def discard(self, uuid: UUID) -> None:
        return


class ImageRootDriver:
    """`type='file'` and `'block'`: the file system in a raw image or on a device, or in a partition of it; the
    administrator's own. source: looks up which."""

    def __init__(self, kind: FilesystemType, source: Callable[[Filesystem], str]) -> None:
        self.type = kind
        self._source = source

    def check(self, filesystem: Filesystem) -> None:
        refuse_ignored(filesystem)
        refuse_other_formats(filesystem)

    def prepare(self, filesystem: Filesystem, uuid: UUID, idmap: IdMap | None) -> Root:
        # Nothing is mounted yet: who prepares a root need not want to start it.
        source = self._source(filesystem)
        start, size = place_in(filesystem, source)
        return ImageRoot(
            source=source, start=start, size=size, access=access_of(filesystem), idmapped=filesystem.is_mapped
        )

    def discard(self, uuid: UUID) -> None:
        return


def built_in(images: ImageStore) -> tuple[RootDriver, ...]:
    """Return the drivers there are."""
    return (
        TemplateRoot(images),
        MountRoot(),
        ImageRootDriver(FilesystemType.FILE, file_source),
        ImageRootDriver(FilesystemType.BLOCK, device_source),
    )


_LATER = {
    FilesystemType.VOLUME: "storage pools are not there yet; use type='template' or 'mount'",
    FilesystemType.RAM: "an empty file system in memory holds no init; use type='template'",
    FilesystemType.BIND: "it shows a directory of the guest itself, which is not there before the root",
}


class Roots:
    """What the service uses: the root of a domain, whatever its kind."""

    def __init__(self, images: ImageStore) -> None:
        self._drivers = built_in(images)

    def check(self, domain: DomainDefinition) -> None:
        """Refuse a domain whose root could never be. Raises: UnsupportedConfigError."""
        root = _root_of(domain)
        self._driver(root).check(root)

    def prepare(self, domain: DomainDefinition, idmap: IdMap | None) -> Root:
        """Return the domain's root, ready to be mounted. idmap: what the domain's container will have.

        Raises: UnsupportedConfigError, ImageNotFoundError, ResourceBusyError, OSError.
        """
        root = _root_of(domain)
        return self._driver(root).prepare(root, domain.uuid, idmap)

    def discard(self, uuid: UUID) -> None:
        """Remove what was made for a domain, whatever kind its root is or was. Call it in a thread. Raises: OSError."""
        for driver in self._drivers:
            driver.discard(uuid)

    def _driver(self, root: Filesystem) -> RootDriver:
        for driver in self._drivers:
            if driver.type is root.type:
                return driver
        raise UnsupportedConfigError(f"a root of type '{root.type}': {_LATER.get(root.type, 'there is no such thing')}")


def _root_of(domain: DomainDefinition) -> Filesystem:
    if domain.root is None:
        raise UnsupportedConfigError(
            f"domain '{domain.name}' has no root: add <filesystem type='template'><source name='IMAGE'/>"
            "<target dir='/'/></filesystem>, or one of type 'mount' with <source dir='DIRECTORY'/>. libvirt would show "
            "it the host's own, which is never done here"
        )
    return domain.root
