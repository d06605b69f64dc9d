"""Which systemd a root has, before it starts: one that is too old for cgroup v2 needs a v1 hierarchy.

Since 231 the program loads a library that is named by the version; one that was there before has the words that it
begins its log with. What is read is the guest's, looked up by fd, never leaving the root.
"""

import os
import re
import stat
from dataclasses import dataclass, field
from functools import lru_cache

from insula.kernel.beneath import CONTAINED, open_beneath

KNOWS_V2 = 231
"""The first version that runs where there is nothing but cgroup v2."""
_LIBRARY = re.compile(rb"libsystemd-(?:shared|core)-([0-9]{3})")
_GREETING = re.compile(rb"systemd ([0-9]{2,3})[ .(\0]")
_MOST_BYTES = 8 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class _ProgramFile:
    """A program's file, compared by what changes when its content does."""

    device: int
    inode: int
    changed: int
    fd: int = field(compare=False)


def systemd_version(root: int, path: str) -> int | None:
    """Return the version of the systemd whose program is at path in the root behind an fd, None if it does not say."""
    try:
        place = open_beneath(root, path, os.O_PATH, resolve=CONTAINED)
    except OSError:
        return None
    try:
        found = os.fstat(place)
        if not stat.S_ISREG(found.st_mode):
            return None
        # Whoever holds a lease on a file would make us wait for it: fcntl(2), "Leases".
        fd = os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    finally:
        os.close(place)
    try:
        return _version(_ProgramFile(device=found.st_dev, inode=found.st_ino, changed=found.st_ctime_ns, fd=fd))
    except OSError:
        return None
    finally:
        os.close(fd)


@lru_cache(maxsize=64)
def _version(program: _ProgramFile) -> int | None:
    content = bytearray()
    while len(content) < _MOST_BYTES and (chunk := os.read(program.fd, 1 << 20)):
        content += chunk
    match = _LIBRARY.search(content) or _GREETING.search(content)
    return None if match is None else int(match[1])
