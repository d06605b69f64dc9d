"""Which mounts and namespaces guests may make, as far as a filter can tell: what some are refused besides."""

import errno
import os

from insula.engine.policy.callgroups import ForbiddenArgument
from insula.kernel.callfilter import Condition

_MAKERS = (("unshare", 0), ("clone", 1 if os.uname().machine.startswith("s390") else 0))
"""Calls that make namespaces, and which of their arguments has the flags."""
_NESTED_NAMESPACES = {"UTS": 0x04000000, "IPC": 0x08000000, "user": 0x10000000, "network": 0x40000000}
_CLONE3_UNREADABLE = "its flags are in memory, which a filter cannot read: clone, which C libraries then use, has them"

MIGRATABLE_ARGUMENTS = (
    *(
        ForbiddenArgument(
            errno=errno.EPERM,
            why=f"CRIU cannot dump a nested {kind} namespace; systemd goes without when told that it may not",
            names=(call,),
            conditions=(Condition(argument=argument, value=flag, mask=flag),),
        )
        for kind, flag in _NESTED_NAMESPACES.items()
        for call, argument in _MAKERS
    ),
    ForbiddenArgument(errno=errno.ENOSYS, why=_CLONE3_UNREADABLE, names=("clone3",), conditions=()),
)
"""What the profile `migratable` forbids beyond the default one."""


_EXISTING = 4096 | 8192 | 32
"""MS_BIND, MS_MOVE, MS_REMOUNT: what mount(2) does with mounts and file systems that are there."""
_PROPAGATION = 1 << 17 | 1 << 18 | 1 << 19 | 1 << 20
"""MS_UNBINDABLE, MS_PRIVATE, MS_SLAVE, MS_SHARED."""
_MAGIC = 0xC0ED0000
_MAGIC_MASK = 0xFFFF0000
"""Old programs put this into the flags; the kernel takes it off again, and the bits of propagation that it has."""
_NEW_MOUNTS = "a new proc, sysfs or control group tree shows the host's own without covers; its type is out of sight"
_MOUNT_NAMESPACE = 0x00020000

NEW_MOUNT_ARGUMENTS = (
    ForbiddenArgument(
        errno=errno.EPERM,
        why=_NEW_MOUNTS,
        names=("mount",),
        conditions=(Condition(argument=3, mask=_EXISTING | _PROPAGATION, value=0),),
    ),
    ForbiddenArgument(
        errno=errno.EPERM,
        why=_NEW_MOUNTS,
        names=("mount",),
        conditions=(Condition(argument=3, mask=_MAGIC_MASK | _EXISTING, value=_MAGIC),),
    ),
    ForbiddenArgument(errno=errno.EPERM, why=_NEW_MOUNTS, names=("fsopen",), conditions=()),
    *(
        ForbiddenArgument(
            errno=errno.EPERM,
            why="systemd starts services without mounts of their own where it may not divide them, but fails halfway",
            names=(call,),
            conditions=(Condition(argument=argument, value=_MOUNT_NAMESPACE, mask=_MOUNT_NAMESPACE),),
        )
        for call, argument in _MAKERS
    ),
    ForbiddenArgument(errno=errno.ENOSYS, why=_CLONE3_UNREADABLE, names=("clone3",), conditions=()),
)
"""What containers without a user namespace of their own are refused besides: file systems that are not mounted yet.

In a user namespace the kernel itself keeps them to harmless ones. Mount namespaces go with them: systemd goes without
where it may not make one, while one in which it can mount nothing stops its start (257) or that of a service with a
/dev of its own. Source: mount(2), path_mount in the kernel; systemd's `exec-invoke.c` and `manager.c`.
"""
