import errno

import pytest

from insula.engine.policy.syscalls import programs
from insula.engine.spec import Seccomp
from insula.kernel.callnumbers import call_numbers
from tests.callfilters import COMPANION, NATIVE, answer

MS_REMOUNT, MS_BIND, MS_MOVE, MS_SHARED, MS_PRIVATE, MS_MGC_VAL = 32, 4096, 8192, 1 << 20, 1 << 18, 0xC0ED0000
(NOTHING_NEW,) = programs(Seccomp(new_mounts=False))
(USUAL,) = programs(Seccomp())


def asked(program: bytes, name: str, *arguments: int) -> set[int | None]:
    """What a call is answered on both architectures."""
    return {answer(program, call_numbers(each)[name], *arguments, architecture=each) for each in (NATIVE, COMPANION)}


@pytest.mark.parametrize("flags", [0, 1, 0xF, MS_MGC_VAL, MS_MGC_VAL | 0xF, 1 << 24])
def test_a_mount_that_is_not_there_yet_is_refused_whatever_its_flags(flags: int) -> None:
    assert asked(NOTHING_NEW, "mount", 1, 1, 1, flags, 0) == {errno.EPERM}
    assert asked(USUAL, "mount", 1, 1, 1, flags, 0) == {None}


@pytest.mark.parametrize(
    "flags", [MS_BIND, MS_REMOUNT | MS_BIND, MS_MOVE, MS_PRIVATE, MS_SHARED | 1 << 14, MS_MGC_VAL | MS_BIND]
)
def test_mounts_may_be_shown_elsewhere_changed_and_moved(flags: int) -> None:
    assert asked(NOTHING_NEW, "mount", 1, 1, 1, flags, 0) == {None}


def test_mount_namespaces_go_with_mounts_and_others_do_not() -> None:
    assert asked(NOTHING_NEW, "unshare", 0x20000) == asked(NOTHING_NEW, "fsopen", 1, 0) == {errno.EPERM}
    assert asked(NOTHING_NEW, "clone3", 1, 88) == {errno.ENOSYS}
    assert asked(NOTHING_NEW, "unshare", 0x4000000) == asked(NOTHING_NEW, "umount2", 1, 0) == {None}
    assert asked(USUAL, "unshare", 0x20000) == asked(USUAL, "clone3", 1, 88) == {None}
