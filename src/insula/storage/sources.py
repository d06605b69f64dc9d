"""What the `<source>` of a file system names on the host, looked at early, so that errors speak of the definition."""

import os
import stat
from collections.abc import Iterable
from pathlib import PurePosixPath

from insula.engine.spec import Access, IdMap, IdRange
from insula.errors import UnsupportedConfigError
from insula.model.filesystems import Filesystem, FilesystemDriverType

_RAW = (None, "raw")


def access_of(filesystem: Filesystem) -> Access:
    return Access.READ_ONLY if filesystem.read_only else Access.READ_WRITE


def directory_source(filesystem: Filesystem) -> str:
    """Return the host's directory. Raises: UnsupportedConfigError if it is not there or none."""
    path = _given(filesystem.source.directory)
    if not stat.S_ISDIR(_status(filesystem, path).st_mode):
        raise UnsupportedConfigError(f"file system '{filesystem.target}': {path} is no directory")
    return path


def tree_source(filesystem: Filesystem) -> str:
    """Return the host's directory, or its file to be shown alone. Raises: UnsupportedConfigError."""
    path = _given(filesystem.source.directory)
    mode = _status(filesystem, path).st_mode
    if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)):
        raise UnsupportedConfigError(f"file system '{filesystem.target}': {path} is no directory and no file")
    return path


def file_source(filesystem: Filesystem) -> str:
    """Return the host's file that holds a file system. Raises: UnsupportedConfigError."""
    path = _given(filesystem.source.file)
    if not stat.S_ISREG(_status(filesystem, path).st_mode):
        raise UnsupportedConfigError(f"file system '{filesystem.target}': {path} is no file")
    return path


def device_source(filesystem: Filesystem) -> str:
    """Return the host's block device. Raises: UnsupportedConfigError."""
    path = _given(filesystem.source.device)
    if not stat.S_ISBLK(_status(filesystem, path).st_mode):
        raise UnsupportedConfigError(f"file system '{filesystem.target}': {path} is no block device")
    return path


def _given(path: PurePosixPath | None) -> str:
    """The model has refused a source that lacks what its type asks for."""
    assert path is not None
    return str(path)


def _status(filesystem: Filesystem, path: str) -> os.stat_result:
    try:
        return os.stat(path)
    except OSError as error:
        raise UnsupportedConfigError(
            f"file system '{filesystem.target}': {path} cannot be used: {error.strerror}"
        ) from error


def belongs_to(path: str, idmap: IdMap | None) -> bool:
    """Return whether a tree's files have the shifted owners of an id map already, judged by its top.

    Roots that lived under libvirt with `<idmap>` were chowned for it; mapping them again would shift them twice. A map
    that leaves an id as it is tells nothing.
    """
    if idmap is None:
        return False
    owner = os.stat(path).st_uid
    return _is_outside(owner, idmap.uids) and not _is_inside(owner, idmap.uids)


def _is_outside(owner: int, ranges: Iterable[IdRange]) -> bool:
    return any(each.outside <= owner < each.outside + each.count for each in ranges)


def _is_inside(owner: int, ranges: Iterable[IdRange]) -> bool:
    return any(each.inside <= owner < each.inside + each.count for each in ranges)


def refuse_ignored(filesystem: Filesystem) -> None:
    """Refuse what would silently not happen. Raises: UnsupportedConfigError.

    The access modes of virtual machines, with fmode and dmode, are passed over as in libvirt's own driver: virt-install
    writes 'mapped' for every file system.
    """
    refused = {
        "<space_hard_limit> (limits come with other kinds of roots)": filesystem.space_hard_limit is not None,
        "<space_soft_limit> (limits come with other kinds of roots)": filesystem.space_soft_limit is not None,
    }
    for what, present in refused.items():
        if present:
            raise UnsupportedConfigError(f"file system '{filesystem.target}': {what} is not there; remove it")


def refuse_other_formats(filesystem: Filesystem) -> None:
    """Refuse a file that the kernel makes no device of. Raises: UnsupportedConfigError."""
    driver = filesystem.driver
    if driver is None:
        return
    if driver.type not in (None, FilesystemDriverType.LOOP, FilesystemDriverType.PATH) or driver.format not in _RAW:
        raise UnsupportedConfigError(
            f"file system '{filesystem.target}' is of format '{driver.format or 'raw'}' by driver "
            f"'{driver.type or 'loop'}': the kernel makes devices of raw images only; convert it "
            "(qemu-img convert -O raw), or show it by a device (qemu-nbd) of type 'block'"
        )
