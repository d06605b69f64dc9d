"""System call filters: compiled by libseccomp where there is time, loaded as plain bytes where there is not.

`compile_filter` and `chained` are for the daemon; `load` for the child, which must not import libseccomp. A process
may have several filters; the kernel asks all of them and the strictest answer counts.
Sources: seccomp(2), linux/seccomp.h, seccomp_init(3).
"""

import ctypes
import errno
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from insula.kernel.syscall import libc

if TYPE_CHECKING:
    import pyseccomp


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """True if the bits of mask in a call's argument (0..5) equal value."""

    argument: int
    value: int
    mask: int = 0xFFFFFFFF


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """What happens to calls named, if all conditions hold. refusal: the errno they fail with, None to let them pass."""

    names: tuple[str, ...]
    refusal: int | None = None
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Filter:
    """Rules, and what happens to calls that none is about: they fail with the errno `otherwise`, or pass for None."""

    rules: tuple[Rule, ...]
    otherwise: int | None = None


COMPANIONS = {"x86_64": ("X86",), "aarch64": ("ARM",)}
"""Further architectures whose programs a machine executes. x32 is left out on purpose: nobody has its user land."""

NUMBERS_FROM_424 = {
    "cachestat": 451,
    "fchmodat2": 452,
    "map_shadow_stack": 453,
    "futex_wake": 454,
    "futex_wait": 455,
    "futex_requeue": 456,
    "statmount": 457,
    "listmount": 458,
    "lsm_get_self_attr": 459,
    "lsm_set_self_attr": 460,
    "lsm_list_modules": 461,
    "mseal": 462,
    "setxattrat": 463,
    "getxattrat": 464,
    "listxattrat": 465,
    "removexattrat": 466,
    "open_tree_attr": 467,
    "file_getattr": 468,
    "file_setattr": 469,
}
"""Calls newer than the libseccomp of Debian 12; such numbers are the same on every architecture. Source: the kernel's
syscall tables. The native architecture knows them by number; a companion answers ENOSYS, for which C libraries have a
way round."""


NUMBERS_OF_MACHINES = {"x86_64": {"uretprobe": 335, "uprobe": 336}}
"""Such calls with a number on one architecture only."""


def system_call_number(name: str) -> int | None:
    """Return the native number of a system call, None if this architecture has no such call.

    Negative for calls that libseccomp knows on other architectures only.
    """
    number = _resolved(name)
    if number != _UNKNOWN:
        return number
    return NUMBERS_FROM_424.get(name) or NUMBERS_OF_MACHINES.get(os.uname().machine, {}).get(name)


DIRECT_NUMBERS = {
    "X86": {"socket": 359, "socketpair": 360, "setsockopt": 366},
    "S390X": {"socket": 359, "socketpair": 360, "setsockopt": 366},
    "PPC64LE": {"socket": 326, "socketpair": 333, "setsockopt": 339},
}
"""Calls that libseccomp only knows as parts of socketcall there; they have numbers of their own since Linux 4.3.
Source: the kernel's syscall tables."""


def number_on(architecture: int, name: str) -> int | None:
    """Return a system call's number on an architecture (as libseccomp and audit number them), None if it has none."""
    import pyseccomp

    for other, numbers in DIRECT_NUMBERS.items():
        if architecture == getattr(pyseccomp.Arch, other) and name in numbers:
            return numbers[name]
    number = int(pyseccomp.resolve_syscall(architecture, name))
    return number if number >= 0 else None


_UNKNOWN = -1


@cache
def _resolved(name: str) -> int:
    """Return libseccomp's number, a negative one of its own for calls of other architectures, `_UNKNOWN` for none."""
    import pyseccomp

    return int(pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name))


def compile_filter(wanted: Filter) -> bytes:
    """Return the filter as a program for `load`: for this machine's architecture and those it executes beside.

    Calls of any other architecture fail with ENOSYS. Calls that an architecture does not have are left out.
    Takes some milliseconds. Raises: OSError(EINVAL) for a name of no system call at all.
    """
    import pyseccomp

    program = _for_architecture(wanted, pyseccomp.Arch.NATIVE)
    for companion in COMPANIONS.get(os.uname().machine, ()):
        program.merge(_for_architecture(wanted, getattr(pyseccomp.Arch, companion)))
    with os.fdopen(os.memfd_create("seccomp", os.MFD_CLOEXEC), "w+b") as file:
        program.export_bpf(file)
        file.seek(0)
        return file.read()


def _for_architecture(wanted: Filter, architecture: int) -> "pyseccomp.SyscallFilter":
    import pyseccomp

    program = pyseccomp.SyscallFilter(_action(wanted.otherwise))
    program.set_attr(pyseccomp.Attr.ACT_BADARCH, pyseccomp.ERRNO(errno.ENOSYS))
    program.set_attr(pyseccomp.Attr.CTL_OPTIMIZE, _BINARY_TREE)
    native = architecture == pyseccomp.Arch.NATIVE
    if not native:
        program.remove_arch(pyseccomp.Arch.NATIVE)
        program.add_arch(architecture)
    for rule in wanted.rules:
        if rule.refusal == wanted.otherwise:
            continue  # says what is true already, which libseccomp refuses (EACCES)
        conditions = [
            pyseccomp.Arg(each.argument, pyseccomp.MASKED_EQ, each.mask, each.value) for each in rule.conditions
        ]
        for name in rule.names:
            number = system_call_number(name)
            if number is None:
                raise OSError(errno.EINVAL, "no such system call", name)
            if native or _resolved(name) != _UNKNOWN:
                program.add_rule(_action(rule.refusal), number, *conditions)
    return program


def chained(programs: Sequence[bytes]) -> bytes:
    """Return one program that asks each in turn, and goes on to the next only when a call may pass.

    What passes has passed them all, as with several filters; of several refusals the first one's errno counts. One
    program is handed over once, and loaded once.
    """
    chain = bytearray()
    for program in programs[:-1]:
        instructions = list(_INSTRUCTION.iter_unpack(program))
        for index, (code, if_true, if_false, value) in enumerate(instructions):
            if (code, value) == (_RETURN, _LET_PASS):
                chain += _INSTRUCTION.pack(_GO_ON, 0, 0, len(instructions) - 1 - index)
            else:
                chain += _INSTRUCTION.pack(code, if_true, if_false, value)
    return bytes(chain) + b"".join(programs[-1:])


_INSTRUCTION = struct.Struct("=HBBI")
"""struct sock_filter: code, jumps if true and if false, value. Source: linux/filter.h."""
_RETURN = 0x06
_GO_ON = 0x05
_LET_PASS = 0x7FFF0000

_BINARY_TREE = 2
"""libseccomp's layout for long lists: a call is found in some eight comparisons. Source: seccomp_attr_set(3)."""


def _action(refusal: int | None) -> int:
    import pyseccomp

    return int(pyseccomp.ALLOW if refusal is None else pyseccomp.ERRNO(refusal))


class _Program(ctypes.Structure):
    """struct sock_fprog. Source: linux/filter.h."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


_SET_SECCOMP = 22
_MODE_FILTER = 2


@libc("prctl")
def _prctl(option: int, mode: int, program: _Program, fourth: int, fifth: int) -> int:
    raise NotImplementedError


def load(program: bytes) -> None:
    """Put a compiled filter on the calling thread and all it will ever start, beside those it has.

    Raises: OSError(EACCES) without both no_new_privs and sys_admin in the user namespace; EINVAL for a broken program.
    """
    _prctl(_SET_SECCOMP, _MODE_FILTER, _Program(len(program) // _INSTRUCTION.size, program), 0, 0)
