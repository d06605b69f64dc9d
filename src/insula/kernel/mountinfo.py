"""What is mounted in a mount namespace, as the kernel tells it. Source: proc_pid_mountinfo(5)."""

import errno
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_ESCAPED = re.compile(r"\\([0-7]{3})")


class Mount(NamedTuple):
    """A mount. root: the part of the file system that is mounted; point: where, below the root of whoever looks;
    device: major:minor; kind, source: of the file system, as it was mounted; options: of the mount; tags: of its
    propagation; super_options: of the file system."""

    id: int
    parent: int
    device: str
    root: str
    point: str
    options: str
    tags: tuple[str, ...]
    kind: str
    source: str
    super_options: str


def mounts_in(mountinfo: str) -> Iterator[Mount]:
    """Yield the mounts that the text of a mountinfo file names, in its order: what lies above comes later.

    Only a line feed ends a line, which the kernel escapes in names: what else Python takes for an end may be in one.
    """
    for line in filter(None, mountinfo.split("\n")):
        mount, _, filesystem = line.partition(" - ")
        number, parent, device, root, point, options, *tags = mount.split(" ")
        kind, source, super_options = filesystem.split(" ", 2)
        yield Mount(
            id=int(number),
            parent=int(parent),
            device=device,
            root=_plain(root),
            point=_plain(point),
            options=options,
            tags=tuple(tags),
            kind=kind,
            source=_plain(source),
            super_options=super_options,
        )


def mounts_of_process(pid: int | None = None) -> list[Mount]:
    """Return the mounts that a process sees, ours for None.

    Raises: FileNotFoundError or ProcessLookupError if it is gone.
    """
    return list(mounts_in(mountinfo_of(pid)))


def mountinfo_of(pid: int | None = None) -> str:
    """Return the mountinfo file of a process as it is, ours for None; bytes of no character are half surrogates.

    Whoever may mount chooses names in it. Raises: as mounts_of_process.
    """
    path = Path(f"/proc/{'self' if pid is None else pid}/mountinfo")
    try:
        return path.read_bytes().decode(errors="surrogateescape")
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        # The kernel's answer for a process that has ended and is not collected yet: it has no mount namespace any more.
        raise ProcessLookupError(errno.ESRCH, "the process has ended", str(path)) from None


def _plain(field: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), field)
