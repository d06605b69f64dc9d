"""Directories of the host that a guest may write under its own owners, and that any user of the host may go into.

The guest's root can leave programs there that are setuid root, on the host too: docs/reference/storage.md.
"""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from insula.model.domain import DomainDefinition
from insula.model.filesystems import FilesystemType

_GUESTS_IDS = 65536
"""A tree whose top has a higher owner is of ids that were shifted for a guest: what is setuid there is nobody's."""


def written_directories(domain: DomainDefinition) -> tuple[str, ...]:
    """Return the host's directories that a domain's guest may write under its own owners."""
    return tuple(
        str(each.source.directory)
        for each in domain.devices.filesystems
        if each.type is FilesystemType.MOUNT
        and each.source.directory is not None
        and each.is_mapped
        and not each.read_only
    )


def is_exposed(directory: str) -> bool:
    """Return whether users of the host who own nothing there can execute setuid programs in a directory.

    False for one that cannot be looked at. Source: path_resolution(7), mount(8), "nosuid".
    """
    try:
        path = Path(os.path.realpath(directory))
        if path.stat().st_uid >= _GUESTS_IDS or os.statvfs(path).f_flag & os.ST_NOSUID:
            return False
        return all(each.stat().st_mode & stat.S_IXOTH for each in (path, *path.parents))
    except OSError:
        return False


def exposed(written: Iterable[tuple[str, tuple[str, ...]]]) -> list[str]:
    """Return the names whose directories are exposed (thread: a file system may take its time)."""
    return [name for name, directories in written if any(map(is_exposed, directories))]
