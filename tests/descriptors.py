"""Which descriptors this process has open."""

import contextlib
import gc
import os


def listed_fds() -> set[int]:
    """Return what is open, but for the listing itself."""
    return {int(fd) for fd in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{fd}")}


def open_fds() -> set[int]:
    """Return what is open, but for the listing itself and for what is garbage of earlier tests."""
    gc.collect()
    return listed_fds()


def open_names() -> set[str]:
    """Return what is open by its names; another thread may close some of it meanwhile."""
    names = set()
    for fd in listed_fds():
        with contextlib.suppress(OSError):
            names.add(os.readlink(f"/proc/self/fd/{fd}"))
    return names
