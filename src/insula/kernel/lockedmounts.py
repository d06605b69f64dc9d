"""Mounts whose attributes nobody can change who is given them."""

import errno
import os
import socket
import stat
from contextlib import suppress
from typing import NoReturn

from insula.kernel.fds import AT_FDCWD, Fd
from insula.kernel.mounts import Propagation, attach, change, detached_copy, make_filesystem
from insula.kernel.process import CloneFlag, unshare

_PLACE = "/proc"
"""Any directory serves: it is covered in a mount namespace that nobody else has."""


def locked_copy(tree: Fd) -> Fd:
    """Return a detached copy of a detached mount: its attributes stay, and what is mounted below it stays there.

    The kernel locks what it copies into a mount namespace of another user namespace, so a process of a moment has it
    copied; tree is spent then. Source: mount_namespaces(7), "Restrictions on mount namespaces". Raises: OSError.
    """
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            process = os.fork()
            if process == 0:
                _copy_for(theirs, tree)
        try:
            said, fds, _, _ = socket.recv_fds(ours, 16, 1, socket.MSG_CMSG_CLOEXEC)
        finally:
            os.waitpid(process, 0)
    if fds:
        return Fd(fds[0])
    number = int(said or errno.ECHILD)
    raise OSError(number, f"the mount cannot be locked: {os.strerror(number)}")


def _copy_for(caller: socket.socket, tree: Fd) -> NoReturn:
    """In the child: say the copy, or the error's number."""
    with suppress(BaseException):
        try:
            socket.send_fds(caller, [b"0"], [_copied(tree)])
        except OSError as error:
            caller.send(str(error.errno).encode())
    os._exit(0)


def _copied(tree: Fd) -> Fd:
    unshare(CloneFlag.NEWNS)
    # Nothing of it travels to where this namespace was copied from.
    change(AT_FDCWD, "/", propagation=Propagation.PRIVATE, recursive=True)
    around = make_filesystem("tmpfs", [("mode", "755"), ("size", "4k"), ("nr_inodes", "2")])
    if stat.S_ISDIR(os.fstat(tree).st_mode):
        os.mkdir("tree", dir_fd=around)
    else:
        os.mknod("tree", dir_fd=around)
    attach(around, os.open(_PLACE, os.O_PATH))
    attach(tree, os.open("tree", os.O_PATH, dir_fd=around))
    unshare(CloneFlag.NEWUSER | CloneFlag.NEWNS)
    return detached_copy(f"{_PLACE}/tree", recursive=True)
