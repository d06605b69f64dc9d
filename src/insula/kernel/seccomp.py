"""Loading a system call filter: what the child does, for which `kernel.callfilter` has made the program beforehand.

A process may have several filters; the kernel asks all of them and the strictest answer counts. Source: seccomp(2).
"""

import ctypes

from insula.kernel.syscall import libc


class _SockFprog(ctypes.Structure):
    """struct sock_fprog. Source: linux/filter.h."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


_INSTRUCTION_SIZE = 8
"""Bytes of struct sock_filter."""

_SET_SECCOMP = 22
_MODE_FILTER = 2


@libc("prctl")
def _prctl(option: int, mode: int, program: _SockFprog, fourth: int, fifth: int) -> int:
    raise NotImplementedError


def load(program: bytes) -> None:
    """Put a compiled filter on the calling thread and all it will ever start, beside those it has.

    Raises: OSError(EACCES) without both no_new_privs and sys_admin in the user namespace; EINVAL for a broken program.
    """
    _prctl(_SET_SECCOMP, _MODE_FILTER, _SockFprog(len(program) // _INSTRUCTION_SIZE, program), 0, 0)
