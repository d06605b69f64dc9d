"""How namespaces lie in each other: ioctl_ns(2)."""

import fcntl
import os
from contextlib import suppress

_NS_GET_PARENT = 0xB702
_DEPTH_MAX = 33
"""PID namespaces within each other, the first one included. Source: pid_namespaces(7)."""


def is_below(namespace: int, path: str) -> bool:
    """Whether a PID or user namespace is the one of a file, such as `/proc/PID/ns/pid`, or in it.

    namespace: an fd of one. Raises: OSError for a file that is not there, and without the right to ask.
    """
    wanted = os.stat(path)
    found = os.dup(namespace)
    try:
        for _ in range(_DEPTH_MAX):
            if os.path.samestat(os.fstat(found), wanted):
                return True
            with suppress(PermissionError):  # there is none above, or it is above our own
                parent = fcntl.ioctl(found, _NS_GET_PARENT)
                os.close(found)
                found = parent
                continue
            return False
        return False
    finally:
        os.close(found)
