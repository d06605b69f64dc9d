"""What a guest whose root is the host's cannot ask of file systems and terminals it shares with the host."""

import errno
import fcntl
import termios

import pytest

from insula.engine.policy.hostpolicy import HOST_WIDE_ARGUMENTS
from insula.engine.policy.syscalls import programs
from insula.engine.spec import Seccomp
from tests.unit.engine.policy.test_namespacepolicy import MS_BIND, MS_MGC_VAL, MS_REMOUNT, asked

(CONFINED,) = programs(Seccomp(new_mounts=False))
(USUAL,) = programs(Seccomp())
FAN_MARK_ADD, FAN_MARK_MOUNT, FAN_MARK_FILESYSTEM, FAN_MARK_MNTNS = 0x1, 0x10, 0x100, 0x110
FAN_CLASS_CONTENT, FAN_CLASS_PRE_CONTENT, FAN_REPORT_FID = 0x4, 0x8, 0x200
MS_RDONLY = 1
WHOLE = {
    "FIFREEZE": 0xC0045877,
    "FITHAW": 0xC0045878,
    "FITRIM": 0xC0185879,
    "FS_IOC_SHUTDOWN": 0x8004587D,
    "XFS_IOC_FD_TO_HANDLE": 0xC0385868,
    "XFS_IOC_OPEN_BY_HANDLE": 0xC038586B,
    "XFS_IOC_ATTRMULTI_BY_HANDLE": 0x4048587B,
    "EXT4_IOC_RESIZE_FS": 0x40086610,
    "EXT4_IOC_SET_TUNE_SB_PARAM": 0x40E8662E,
    "BTRFS_IOC_TREE_SEARCH": 0xD0009411,
    "BTRFS_IOC_SNAP_DESTROY_V2": 0x5000943F,
    "FS_IOC_SETFSLABEL": 0x41009432,
    "NS_MNT_GET_NEXT": 0x8010B70B,
    "NS_MNT_GET_PREV": 0x8010B70C,
    "NS_MNT_GET_PREV with a longer argument": 0x8020B70C,
    "TIOCCONS": termios.TIOCCONS,
}
OF_FILES = {
    "FICLONE": 0x40049409,
    "FICLONERANGE": 0x4020940D,
    "FIDEDUPERANGE": 0xC0189436,
    "BTRFS_IOC_SUBVOL_CREATE": 0x5000940E,
    "FS_IOC_GETFLAGS": 0x80086601,
    "FS_IOC_SETFLAGS": 0x40086602,
    "FS_IOC_FIEMAP": 0xC020660B,
    "FS_IOC_FSGETXATTR": 0x801C581F,
    "NS_GET_USERNS": 0xB701,
    "TIOCGWINSZ": termios.TIOCGWINSZ,
    "FIOCLEX": 0x5451,
    "F_SETFL": fcntl.F_SETFL,
}


@pytest.mark.parametrize("mark", [FAN_MARK_FILESYSTEM, FAN_MARK_MNTNS])
def test_no_file_system_is_watched_as_a_whole(mark: int) -> None:
    assert asked(CONFINED, "fanotify_mark", 3, FAN_MARK_ADD | mark, 0, 0, 0) == {errno.EPERM}
    assert asked(USUAL, "fanotify_mark", 3, FAN_MARK_ADD | mark, 0, 0, 0) == {None}
    assert asked(CONFINED, "fanotify_mark", 3, FAN_MARK_ADD | FAN_MARK_MOUNT, 0, 0, 0) == {None}


@pytest.mark.parametrize("kind", [FAN_CLASS_CONTENT, FAN_CLASS_PRE_CONTENT])
def test_nobody_who_opens_a_file_waits_for_the_guest(kind: int) -> None:
    assert asked(CONFINED, "fanotify_init", kind | 1, 0) == {errno.EPERM}
    assert asked(USUAL, "fanotify_init", kind | 1, 0) == asked(CONFINED, "fanotify_init", FAN_REPORT_FID, 0) == {None}


@pytest.mark.parametrize("flags", [MS_REMOUNT, MS_REMOUNT | MS_RDONLY, MS_MGC_VAL | MS_REMOUNT])
def test_the_options_of_a_file_system_stay(flags: int) -> None:
    assert asked(CONFINED, "mount", 1, 1, 1, flags, 0) == asked(CONFINED, "fspick", 3, 1, 0) == {errno.EPERM}
    assert asked(CONFINED, "mount", 1, 1, 1, flags | MS_BIND, 0) == {None}
    assert asked(USUAL, "mount", 1, 1, 1, flags, 0) == asked(USUAL, "fspick", 3, 1, 0) == {None}


@pytest.mark.parametrize("number", WHOLE.values(), ids=list(WHOLE))
def test_what_concerns_more_than_files_of_the_guest_is_refused(number: int) -> None:
    assert asked(CONFINED, "ioctl", 3, number, 0) == {errno.EPERM}
    assert asked(USUAL, "ioctl", 3, number, 0) == {None}


@pytest.mark.parametrize("number", OF_FILES.values(), ids=list(OF_FILES))
def test_what_concerns_its_files_passes(number: int) -> None:
    assert asked(CONFINED, "ioctl", 3, number, 0) == {None}


def test_every_refusal_says_why() -> None:
    assert all(len(each.why) > 6 and each.names for each in HOST_WIDE_ARGUMENTS)
