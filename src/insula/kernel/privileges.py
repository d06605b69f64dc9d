"""What a process may do beyond its ids: capability sets, the bounding set, no_new_privs.

Names are the kernel's own, lower case, without `cap_`. Sources: capabilities(7), prctl(2), linux/capability.h.
"""

import ctypes
import errno
import os
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from functools import cache

from insula.kernel.syscall import libc

CAPABILITIES = (
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
)
"""Every capability by its number; the last came with Linux 5.9."""

_NUMBERS = {name: number for number, name in enumerate(CAPABILITIES)}
_HIGHEST_NUMBER = 63


class Control(IntEnum):
    """Options of prctl(2). Source: linux/prctl.h."""

    SET_KEEPCAPS = 8
    CAPBSET_READ = 23
    CAPBSET_DROP = 24
    SET_NO_NEW_PRIVS = 38
    CAP_AMBIENT = 47


class Ambient(IntEnum):
    """What is done with the ambient set. Source: linux/prctl.h."""

    RAISE = 2
    CLEAR_ALL = 4


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    """struct __user_cap_data_struct twice: the low 32 numbers, then the high ones."""

    _fields_ = tuple((f"{name}_{half}", ctypes.c_uint32) for half in ("low", "high") for name in ("e", "p", "i"))


CAPABILITY_VERSION = 0x20080522


@libc("capget")
def _capget(header: _Header, sets: _Sets) -> None:
    raise NotImplementedError


@libc("capset")
def _capset(header: _Header, sets: _Sets) -> None:
    raise NotImplementedError


@libc("prctl")
def _prctl(option: int, second: int, third: int, fourth: int, fifth: int) -> int:
    raise NotImplementedError


@dataclass(frozen=True, kw_only=True, slots=True)
class CapabilitySets:
    """A thread's sets, as names. One that is newer than `CAPABILITIES` has its number for a name."""

    effective: frozenset[str]
    permitted: frozenset[str]
    inheritable: frozenset[str]


def capability_number(name: str) -> int:
    """Return a capability's number. Raises: OSError(EINVAL) if there is no such capability."""
    number = _NUMBERS.get(name, int(name) if name.isdecimal() else -1)
    if not 0 <= number <= _HIGHEST_NUMBER:
        raise OSError(errno.EINVAL, "no such capability", name)
    return number


def capability_name(number: int) -> str:
    """Return a capability's name, its number where the kernel is newer than we are."""
    return CAPABILITIES[number] if number < len(CAPABILITIES) else str(number)


def mask_of(names: Iterable[str]) -> int:
    """Return the bits of a set of names."""
    mask = 0
    for name in names:
        mask |= 1 << capability_number(name)
    return mask


def names_in(mask: int) -> frozenset[str]:
    """Return the names of a mask's bits, as in the `Cap` lines of /proc/PID/status."""
    return frozenset(capability_name(number) for number in range(_HIGHEST_NUMBER + 1) if mask >> number & 1)


@cache
def last_capability() -> int:
    """Return the running kernel's highest capability number; asked of the kernel itself, as /proc may be missing."""
    number = 0
    while number < _HIGHEST_NUMBER and _bounding_has(number + 1) is not None:
        number += 1
    return number


def _bounding_has(number: int) -> bool | None:
    """Return whether the bounding set has a number, None if the kernel knows no such capability."""
    try:
        return _prctl(Control.CAPBSET_READ, number, 0, 0, 0) == 1
    except OSError as error:
        if error.errno == errno.EINVAL:
            return None
        raise


def held() -> CapabilitySets:
    """Return the calling thread's sets: capget(2)."""
    sets = _own_sets()
    return CapabilitySets(
        effective=names_in(sets.e_low | sets.e_high << 32),
        permitted=names_in(sets.p_low | sets.p_high << 32),
        inheritable=names_in(sets.i_low | sets.i_high << 32),
    )


def permitted_mask() -> int:
    """Return the bits of what the calling thread may use: capget(2)."""
    sets = _own_sets()
    return int(sets.p_low | sets.p_high << 32)


def _own_sets() -> _Sets:
    sets = _Sets()
    _capget(_Header(version=CAPABILITY_VERSION, pid=0), sets)
    return sets


def set_held(sets: CapabilitySets) -> None:
    """Set the calling thread's sets: capset(2). Raises: OSError(EPERM) if something would be gained."""
    effective, permitted, inheritable = (mask_of(names) for names in (sets.effective, sets.permitted, sets.inheritable))
    low = 0xFFFFFFFF
    raw = _Sets(
        e_low=effective & low,
        p_low=permitted & low,
        i_low=inheritable & low,
        e_high=effective >> 32,
        p_high=permitted >> 32,
        i_high=inheritable >> 32,
    )
    _capset(_Header(version=CAPABILITY_VERSION, pid=0), raw)


def use_what_is_permitted() -> None:
    """Make every permitted capability effective, as it is after a change of ids took that away."""
    header, sets = _Header(version=CAPABILITY_VERSION, pid=0), _Sets()
    _capget(header, sets)
    sets.e_low, sets.e_high = sets.p_low, sets.p_high
    _capset(header, sets)


def keep_only(kept: Iterable[str]) -> None:
    """Give up every capability but kept, for good, and leave none to be inherited.

    The calling thread still may do with kept what it wants; whatever it executes can never have more. Must come after
    everything that needs the others, and needs setpcap itself. The inheritable set is emptied: what is in it would turn
    a file's inheritable capabilities into permitted ones, for any user (the class of CVE-2022-24769).
    Raises: OSError(EPERM) without setpcap; EINVAL for an unknown name, before anything changes.
    """
    mask = mask_of(kept)
    clear_ambient()
    for number in range(_HIGHEST_NUMBER + 1):
        if not mask >> number & 1 and not _drop(number):
            break
    sets = _Sets()
    _capget(_Header(version=CAPABILITY_VERSION, pid=0), sets)
    low, high = sets.p_low & mask, sets.p_high & mask >> 32
    _capset(_Header(version=CAPABILITY_VERSION, pid=0), _Sets(e_low=low, p_low=low, e_high=high, p_high=high))


def _drop(number: int) -> bool:
    """Take a number out of the bounding set; return False if the kernel knows no capability of that number."""
    try:
        _prctl(Control.CAPBSET_DROP, number, 0, 0, 0)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return False
        raise
    return True


def clear_ambient() -> None:
    """Empty the ambient set: no capability survives the exec of a plain program by another user than root."""
    _prctl(Control.CAP_AMBIENT, Ambient.CLEAR_ALL, 0, 0, 0)


def set_no_new_privileges() -> None:
    """Let no exec grant privileges any more, neither by setuid bits nor by file capabilities; for good."""
    _prctl(Control.SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def become_with(kept: Iterable[str], *, uid: int, gid: int) -> None:
    """Become another user, in no other group, who has kept and hands that down to what it executes; for good.

    The ambient set brings capabilities across the exec of a plain program: capabilities(7).
    Raises: OSError(EPERM) without setpcap, setuid and setgid; EINVAL for an unknown name, before anything changes.
    """
    wanted = frozenset(kept)
    mask = mask_of(wanted)
    clear_ambient()
    for number in range(_HIGHEST_NUMBER + 1):
        if not mask >> number & 1 and not _drop(number):
            break
    _prctl(Control.SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    set_held(CapabilitySets(effective=wanted, permitted=wanted, inheritable=wanted))
    for name in sorted(wanted):
        _prctl(Control.CAP_AMBIENT, Ambient.RAISE, capability_number(name), 0, 0)
