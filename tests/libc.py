"""The few kernel calls the test machinery makes itself, apart from insula.kernel, which is under test."""

import ctypes
import os
from enum import IntFlag

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p]

PR_SET_CHILD_SUBREAPER = 36
MNT_DETACH = 2


class Namespace(IntFlag):
    """The namespaces that unshare(2) makes anew. Source: linux/sched.h."""

    MOUNT = 0x00020000
    CGROUP = 0x02000000
    UTS = 0x04000000
    IPC = 0x08000000
    USER = 0x10000000
    PID = 0x20000000
    NET = 0x40000000


class MountFlag(IntFlag):
    """Flags of mount(2). Source: linux/mount.h."""

    READ_ONLY = 0x1
    NO_SUID = 0x2
    NO_DEV = 0x4
    NO_EXEC = 0x8
    REMOUNT = 0x20
    BIND = 0x1000
    MOVE = 0x2000
    RECURSIVE = 0x4000
    PRIVATE = 0x40000


NO_FLAGS = MountFlag(0)


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def unshare(namespaces: Namespace) -> None:
    """Move the calling process into fresh namespaces: unshare(2)."""
    _checked(_libc.unshare(ctypes.c_int(namespaces)), f"unshare {namespaces!r}")


def setns(fd: int, kind: Namespace) -> None:
    """Move the calling thread into the namespace behind fd: setns(2)."""
    _checked(_libc.setns(ctypes.c_int(fd), ctypes.c_int(kind)), f"setns {kind!r}")


def mount(source: str, target: str, fstype: str = "", flags: MountFlag = NO_FLAGS, options: str = "") -> None:
    """Mount as mount(2) does; empty strings are passed as null pointers."""
    _checked(
        _libc.mount(
            source.encode() or None, target.encode(), fstype.encode() or None, int(flags), options.encode() or None
        ),
        f"mount {fstype or 'change'} at {target}",
    )


def unmount(target: str, *, lazily: bool = False) -> None:
    """Unmount as umount2(2) does."""
    _checked(_libc.umount2(target.encode(), ctypes.c_int(MNT_DETACH if lazily else 0)), f"unmount {target}")


def become_subreaper() -> None:
    """Let orphans among our descendants become our children: prctl(2), PR_SET_CHILD_SUBREAPER."""
    _checked(_libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl PR_SET_CHILD_SUBREAPER")


def unshare_file_system_attributes() -> None:
    """Give the calling thread a root and working directory of its own, as entering a mount namespace asks for."""
    _checked(_libc.unshare(ctypes.c_int(0x00000200)), "unshare CLONE_FS")
