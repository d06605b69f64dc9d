"""Tracing: stopping threads of others to read their registers, and letting go of who made us its tracer.

What was stopped goes on when its tracer says so, or dies. The kernel knows a tracer by its thread, so all of it is for
one thread of ours. Source: ptrace(2).
"""

import ctypes
import os
from enum import IntEnum

from insula.kernel.syscall import libc

_SEIZE, _INTERRUPT, _DETACH, _GETREGSET = 0x4206, 0x4207, 17, 0x4204
_EVENT_STOP = 128
_WALL = 0x40000000
_SET_SIZE_MAX = 16384
"""Bytes of a register set: x86's largest so far has 11008."""


class RegisterSet(IntEnum):
    """Which registers: the type of the note that holds them in a core. Source: <elf.h>, NT_…"""

    GENERAL = 1
    FLOATING = 2
    X86_EXTENDED = 0x202
    ARM_TLS = 0x401


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


@libc("ptrace")
def _ptrace(request: int, tid: int, address: int, data: int) -> int:
    raise NotImplementedError


def seize(tid: int) -> None:
    """Be the tracer of a thread, which runs on. Raises: OSError(EPERM) if another is, or we may not; ESRCH."""
    _ptrace(_SEIZE, tid, 0, 0)


def interrupt(tid: int) -> None:
    """Have a thread that we trace stop, soon; `stopped` says when. Raises: OSError(ESRCH) if it is gone."""
    _ptrace(_INTERRUPT, tid, 0, 0)


def stopped(tid: int) -> int | None:
    """Return, for a thread that stands still now, the signal that it is to be given when it goes on, 0 for none.

    None: it runs yet. Raises: ProcessLookupError if it has ended.
    """
    try:
        found, status = os.waitpid(tid, os.WNOHANG | _WALL)
    except ChildProcessError as error:
        raise ProcessLookupError(f"thread {tid} is traced no more") from error
    if not found:
        return None
    if not os.WIFSTOPPED(status):
        raise ProcessLookupError(f"thread {tid} has ended")
    return 0 if status >> 16 == _EVENT_STOP else os.WSTOPSIG(status)


def detach(tid: int, number: int) -> None:
    """Trace a thread no longer, and let it go on from its stop with a signal, or with 0 for none.

    Raises: OSError(ESRCH) if it is not stopped, or not traced by this thread.
    """
    _ptrace(_DETACH, tid, 0, number)


def registers(tid: int, kind: RegisterSet) -> bytes:
    """Return a set of registers of a thread that stands still. Raises: OSError(EINVAL, ENODEV) if it has no such."""
    buffer = ctypes.create_string_buffer(_SET_SIZE_MAX)
    vector = _Vector(ctypes.addressof(buffer), _SET_SIZE_MAX)
    _ptrace(_GETREGSET, tid, kind, ctypes.addressof(vector))
    return buffer.raw[: vector.length]
