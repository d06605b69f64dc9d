"""What a guest whose root is the host's is refused besides, as data: calls that need no path to reach the whole host.

Its root directory, and what else it is given, mostly lies on a file system of the host's. Whoever has the host's
capabilities and any descriptor of such a file system can do to the whole of it what these calls do: have every file
that is opened on it handed over, make it read-only, freeze or shut it down, open its files by number. In a user
namespace of its own a guest is refused all of this by the kernel, for it does not own the file system; distributions
live with that. Sources: fanotify_mark(2), mount(2), fspick(2), ioctl_ns(2), ioctl_fs(2), linux/fs.h, linux/btrfs.h,
linux/ext4.h, linux/nsfs.h, xfsprogs' xfs_fs.h.
"""

import errno

from insula.engine.policy.callgroups import ForbiddenArgument
from insula.kernel.callfilter import Condition, Rule, Unlisted

_MS_REMOUNT = 32
_MS_BIND = 4096
_FAN_CLASS_CONTENT = 4
_FAN_CLASS_PRE_CONTENT = 8
_FAN_MARK_FILESYSTEM = 0x100
"""Also a bit of FAN_MARK_MNTNS."""
_TIOCCONS = 0x541D
_NEIGHBOURS = (0xB70B, 0xB70C)
"""NS_MNT_GET_NEXT and NS_MNT_GET_PREV, without the bits that say how large their argument is."""
_XFS_PRIVATE = 0x5860
"""Numbers 96 to 127 of 'X': XFS's own, the handles among them; freezing, thawing, trimming, shutting down of any."""
_EXT4_WHOLE = (0x6607, 0x6608, 0x6610, 0x6611, 0x662B, 0x662C, 0x662E)
"""Of 'f': growing (7, 8, 16), the boot loader's inode (17), the journal (43), the UUID (44), the super block (46)."""
_NUMBER = 0xFFFF
"""An ioctl's type and number."""
_TYPE = 0xFF00
_BTRFS = 0x9400
_BTRFS_FILES = (9, 13, 14, 23, 24, 25, 54)
"""Cloning and deduplication, which other file systems have too; making, copying and describing subvolumes."""

_WHOLE_FILE_SYSTEM = "concerns the whole of a file system, of which the guest has a directory and the host the rest"


def _ioctl(number: int, mask: int, why: str) -> ForbiddenArgument:
    condition = Condition(argument=1, mask=mask, value=number)
    return ForbiddenArgument(errno=errno.EPERM, why=why, names=("ioctl",), conditions=(condition,))


HOST_WIDE_ARGUMENTS = (
    ForbiddenArgument(
        errno=errno.EPERM,
        why="hands over every file that anybody opens on a file system, opened, and its directories lead to the rest",
        names=("fanotify_mark",),
        conditions=(Condition(argument=1, mask=_FAN_MARK_FILESYSTEM, value=_FAN_MARK_FILESYSTEM),),
    ),
    *(
        ForbiddenArgument(
            errno=errno.EPERM,
            why="holds up whoever opens a file, on the host too, until the guest says that he may",
            names=("fanotify_init",),
            conditions=(Condition(argument=0, mask=kind, value=kind),),
        )
        for kind in (_FAN_CLASS_CONTENT, _FAN_CLASS_PRE_CONTENT)
    ),
    ForbiddenArgument(
        errno=errno.EPERM,
        why="changes a file system's own options, and makes it read-only; with MS_BIND it is but the guest's mount",
        names=("mount",),
        conditions=(Condition(argument=3, mask=_MS_REMOUNT | _MS_BIND, value=_MS_REMOUNT),),
    ),
    ForbiddenArgument(
        errno=errno.EPERM, why="the same, by a descriptor of the file system", names=("fspick",), conditions=()
    ),
    _ioctl(_TIOCCONS, 0xFFFFFFFF, "turns what is written to the host's console to a terminal of the guest's"),
    *(_ioctl(each, _NUMBER, "leads from one mount namespace to those of the host") for each in _NEIGHBOURS),
    _ioctl(_XFS_PRIVATE, 0xFFE0, _WHOLE_FILE_SYSTEM),
    *(_ioctl(each, _NUMBER, _WHOLE_FILE_SYSTEM) for each in _EXT4_WHOLE),
)

HOST_WIDE_LISTS = (
    Rule(
        names=("ioctl",),
        refusal=errno.EPERM,
        conditions=(
            Condition(argument=1, mask=_TYPE, value=_BTRFS),
            Unlisted(argument=1, mask=_NUMBER, values=tuple(_BTRFS | each for each in _BTRFS_FILES)),
        ),
    ),
)
"""Btrfs removes subvolumes by number, and tells every name on the disk and what small files hold: an allow list."""
