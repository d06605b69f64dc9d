"""Executing our programs from a view of the host in which nothing can be written.

    python -I -c "from insula.kernel.sealing import main; main()" [--view-fd N] COMMAND…

What a process executes and maps stays on the mounts that it was looked up through, whichever mount namespace the
process moves to. A privileged guest that gets hold of /proc/PID/exe or /proc/PID/map_files of a process entering it
(the class of CVE-2019-5736) therefore meets the mounts of the moment of the exec: they must be read-only before it.
"""

import os
import sys
from typing import NoReturn

from insula.kernel.fds import AT_FDCWD, Fd
from insula.kernel.mounts import MountAttribute, Propagation, change
from insula.kernel.process import CloneFlag, setns, unshare

SEAL = (sys.executable, "-I", "-c", f"from {__name__} import main; main()")
"""The words before a command that is to be executed sealed."""


def main() -> NoReturn:
    """Become the command, in a mount namespace of its own that is read-only throughout. Needs CAP_SYS_ADMIN.

    --view-fd: a mount namespace to take the view from, if not ours.
    """
    command = sys.argv[1:]
    if command[0] == "--view-fd":
        view = Fd(int(command[1]))
        setns(view, CloneFlag.NEWNS)
        os.close(view)
        command = command[2:]
    seal()
    os.execv(command[0], command)


def seal() -> None:
    """Enter a read-only copy of our mounts. What we execute ourselves stays writable: only an exec changes that."""
    unshare(CloneFlag.NEWNS)
    # First, so that the host keeps what it has.
    change(AT_FDCWD, "/", propagation=Propagation.PRIVATE, recursive=True)
    change(AT_FDCWD, "/", add=MountAttribute.READ_ONLY, recursive=True)


def sealed() -> bool:
    """Tell whether what this process executes lies on a read-only mount: statvfs(3), ST_RDONLY."""
    program = os.open("/proc/self/exe", os.O_PATH | os.O_CLOEXEC)
    try:
        return bool(os.fstatvfs(program).f_flag & os.ST_RDONLY)
    finally:
        os.close(program)
