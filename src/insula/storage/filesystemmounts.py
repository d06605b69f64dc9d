"""From `<filesystem>` elements, other than the root, to what the engine mounts in the guest."""

from collections.abc import Callable, Mapping

from insula.engine.spec import BindMount, Bytes, GuestBindMount, IdMap, ImageMount, Mount, TmpfsMount
from insula.errors import UnsupportedConfigError
from insula.model.domain import DomainDefinition
from insula.model.filesystems import Filesystem, FilesystemType
from insula.storage.partitiontable import place_in
from insula.storage.sources import (
    access_of,
    belongs_to,
    device_source,
    file_source,
    refuse_ignored,
    refuse_other_formats,
    tree_source,
)

_KIB = 1024


def mounts_of(domain: DomainDefinition, idmap: IdMap | None) -> tuple[Mount, ...]:
    """Return what is mounted below the guest's root, in the order of the definition.

    Host paths are looked at now, so that a wrong one is named before anything has started.
    Raises: UnsupportedConfigError for what is not there or cannot be used.
    """
    below = [each for each in domain.devices.filesystems if not each.is_root]
    for each in below:
        refuse_ignored(each)
    return tuple(_translate(each, idmap) for each in below)


def _translate(filesystem: Filesystem, idmap: IdMap | None) -> Mount:
    translate = _TRANSLATIONS.get(filesystem.type)
    if translate is None:
        reason = _LATER.get(filesystem.type, "there is no such thing")
        raise UnsupportedConfigError(f"file system '{filesystem.target}' of type '{filesystem.type}': {reason}")
    return translate(filesystem, idmap)


def _mount(filesystem: Filesystem, idmap: IdMap | None) -> Mount:
    """A directory of the host, its owners as the guest's ids; one that belongs to the guest's ids already, as it is."""
    path = tree_source(filesystem)
    return BindMount(
        source=path,
        target=str(filesystem.target),
        access=access_of(filesystem),
        idmapped=idmap is not None and filesystem.is_mapped and not belongs_to(path, idmap),
    )


def _bind(filesystem: Filesystem, _idmap: IdMap | None) -> Mount:
    source = filesystem.source.directory
    assert source is not None
    return GuestBindMount(source=str(source), target=str(filesystem.target), access=access_of(filesystem))


def _ram(filesystem: Filesystem, _idmap: IdMap | None) -> Mount:
    usage = filesystem.source.usage
    assert usage is not None
    return TmpfsMount(target=str(filesystem.target), size=Bytes(usage * _KIB), access=access_of(filesystem))


def _file(filesystem: Filesystem, _idmap: IdMap | None) -> Mount:
    refuse_other_formats(filesystem)
    return _image(filesystem, file_source(filesystem))


def _block(filesystem: Filesystem, _idmap: IdMap | None) -> Mount:
    return _image(filesystem, device_source(filesystem))


def _image(filesystem: Filesystem, source: str) -> Mount:
    start, size = place_in(filesystem, source) if filesystem.source.partition is not None else (0, 0)
    return ImageMount(
        source=source,
        start=start,
        size=size,
        target=str(filesystem.target),
        access=access_of(filesystem),
        idmapped=filesystem.is_mapped,
    )


_TRANSLATIONS: Mapping[FilesystemType, Callable[[Filesystem, IdMap | None], Mount]] = {
    FilesystemType.MOUNT: _mount,
    FilesystemType.BIND: _bind,
    FilesystemType.RAM: _ram,
    FilesystemType.FILE: _file,
    FilesystemType.BLOCK: _block,
}

_LATER = {
    FilesystemType.TEMPLATE: "an image can only be the root yet; give it the target '/'",
    FilesystemType.VOLUME: "storage pools are not there yet; use type='mount'",
}
