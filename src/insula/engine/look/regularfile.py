"""How a look opens a guest's file: nothing else is opened, as that alone could wait, or do something."""

import errno
import os
import stat

from insula.kernel.beneath import STRICT, Resolve, open_beneath
from insula.kernel.fds import Fd


def open_regular(root: Fd, path: str, flags: int = os.O_RDONLY, *, resolve: Resolve = STRICT) -> Fd:
    """Open a regular file; with `STRICT`, one that no link leads to. Raises: OSError with the path."""
    follow = 0 if resolve & Resolve.IN_ROOT else os.O_NOFOLLOW
    found = open_beneath(root, path, os.O_PATH | follow, resolve=resolve)
    try:
        mode = os.fstat(found).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "this is no regular file", path)
        # Whoever holds a lease on a file would make us wait for it: fcntl(2), "Leases".
        return Fd(os.open(f"/proc/self/fd/{found}", flags | os.O_NONBLOCK | os.O_CLOEXEC))
    finally:
        os.close(found)
