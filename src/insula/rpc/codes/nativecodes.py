"""What can be asked of calls that libvirt has no words for."""

from enum import IntFlag


class ImageFlags(IntFlag):
    """CLONES: not images are meant, but the clones of domains that are neither defined nor running, by UUID."""

    CLONES = 1 << 0


class PlanFlags(IntFlag):
    """SYSCALLS: the system calls of the guest's first process, too."""

    SYSCALLS = 1 << 0


class LogFlags(IntFlag):
    """FOLLOW: go on as the log grows; TIMESTAMPS: each line begins with when it began."""

    FOLLOW = 1 << 0
    TIMESTAMPS = 1 << 1


LOG_LINES_MAX = 0xFFFF


class ListFlags(IntFlag):
    """Beside libvirt's filter of domains. ADDRESSES: what each guest is reached at, too."""

    ADDRESSES = 1 << 16


class ExecFlags(IntFlag):
    """DETACHED: the program goes on when the client that asked for it has gone; TRACED: what was refused to it is
    explained afterwards (EXEC_EXPLANATION)."""

    DETACHED = 1 << 0
    TRACED = 1 << 1
