"""What can be asked of calls that libvirt has no words for."""

from enum import IntFlag


class ImageFlags(IntFlag):
    """CLONES: not images are meant, but the clones of domains that are neither defined nor running, by UUID."""

    CLONES = 1 << 0


class PlanFlags(IntFlag):
    """SYSCALLS: the system calls of the guest's first process, too."""

    SYSCALLS = 1 << 0
