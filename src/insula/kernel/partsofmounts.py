"""One file of a file system that is mounted nowhere, as a mount of its own."""

import errno
import os
from threading import Thread

from insula.kernel.fds import AT_FDCWD, Fd
from insula.kernel.mounts import Propagation, attach, change, detached_copy
from insula.kernel.process import CloneFlag, unshare


def part_of(tree: Fd, path: str) -> Fd:
    """Return a detached mount of what is at path in a detached mount.

    Before Linux 6.15 only what is mounted somewhere can be copied in parts: then it is, for a moment, in a mount
    namespace of a thread that ends with it. Raises: OSError.
    """
    try:
        return detached_copy(path, directory=tree)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    found: list[Fd] = []
    failed: list[OSError] = []

    def mounted() -> None:
        try:
            found.append(_copied_in_namespace(tree, path))
        except OSError as error:
            failed.append(error)

    thread = Thread(target=mounted, name="a part of a mount")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return found[0]


def _copied_in_namespace(tree: Fd, path: str) -> Fd:
    unshare(CloneFlag.NEWNS)
    # Nothing of it travels to where this namespace was copied from.
    change(AT_FDCWD, "/", propagation=Propagation.PRIVATE, recursive=True)
    top = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        attach(tree, top)
    finally:
        os.close(top)
    return detached_copy(path, directory=tree)
