"""Tracing: stopping threads of others to read their registers, and letting go of who made us its tracer.

What was stopped goes on when its tracer says so, or dies. The kernel knows a tracer by its thread, so all of it is for
one thread of ours. Source: ptrace(2).
"""

import ctypes
import os
import struct
from enum import IntEnum, IntFlag
from typing import NamedTuple

from insula.kernel.syscall import libc

_SEIZE, _INTERRUPT, _DETACH, _GETREGSET = 0x4206, 0x4207, 17, 0x4204
_SYSCALL, _LISTEN, _GET_SYSCALL_INFO = 24, 0x4208, 0x420E
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


class TraceOption(IntFlag):
    """What a tracer is told of, beside signals."""

    NOTHING = 0
    CALLS = 0x01
    """Stops at system calls are told apart from traps of the program's own."""
    FORKS = 0x02
    VFORKS = 0x04
    CLONES = 0x08
    """With these three, who is begun is traced from its first moment."""
    EXECS = 0x10


class StopKind(IntEnum):
    """Why a thread stands still, or that it never will again."""

    CALL = 0
    """At a system call, before or behind it: `call_at`."""
    SIGNAL = 1
    """A signal is to be delivered: `TraceStop.detail`."""
    BEGINNING = 2
    """A process or thread has been begun, and is traced too."""
    EXEC = 3
    PAUSED = 4
    """The process is stopped as a shell's jobs are; `await_continuation` leaves it so."""
    INTERRUPTED = 5
    """It was interrupted, or has just come into being."""
    ENDED = 6
    """Its wait status is `TraceStop.detail`."""


class TraceStop(NamedTuple):
    """A stop, or the end, of a traced thread."""

    tid: int
    kind: StopKind
    detail: int


class CallEntry(NamedTuple):
    """A system call that is about to begin. architecture: as linux/audit.h numbers them."""

    architecture: int
    number: int
    arguments: tuple[int, ...]


class CallExit(NamedTuple):
    """A system call that has ended. errno: 0 if it did what was asked."""

    errno: int


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


@libc("ptrace")
def _ptrace(request: int, tid: int, address: int, data: int) -> int:
    raise NotImplementedError


def seize(tid: int, options: TraceOption = TraceOption.NOTHING) -> None:
    """Be the tracer of a thread, which runs on. Raises: OSError(EPERM) if another is, or we may not; ESRCH."""
    _ptrace(_SEIZE, tid, 0, options)


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


_CALL_TRAP = 0x80
_TRAP = 5
_STOPPING_SIGNALS = frozenset({19, 20, 21, 22})
_KINDS = {1: StopKind.BEGINNING, 2: StopKind.BEGINNING, 3: StopKind.BEGINNING, 4: StopKind.EXEC}
_HEAD = struct.Struct("=B3xIQQ")
_ENTRY = struct.Struct("=7Q")
_EXIT = struct.Struct("=qB")
_INFO_SIZE = 128
_AT_ENTRY, _AT_EXIT = 1, 2


def next_stop() -> TraceStop:
    """Wait until a thread that we trace stops or ends. Raises: ChildProcessError if none is left."""
    tid, status = os.waitpid(-1, _WALL)
    if not os.WIFSTOPPED(status):
        return TraceStop(tid, StopKind.ENDED, status)
    number, event = os.WSTOPSIG(status), status >> 16
    if event == _EVENT_STOP:
        return TraceStop(tid, StopKind.PAUSED if number in _STOPPING_SIGNALS else StopKind.INTERRUPTED, number)
    if event:
        return TraceStop(tid, _KINDS.get(event, StopKind.INTERRUPTED), 0)
    if number == _TRAP | _CALL_TRAP:
        return TraceStop(tid, StopKind.CALL, 0)
    return TraceStop(tid, StopKind.SIGNAL, number)


def go_to_next_call(tid: int, number: int = 0) -> None:
    """Let a stopped thread go on to its next system call, or out of this one, with a signal, or 0 for none.

    Raises: OSError(ESRCH) if it has been killed meanwhile.
    """
    _ptrace(_SYSCALL, tid, 0, number)


def await_continuation(tid: int) -> None:
    """Leave a thread stopped, as its process is, until that is told to go on. Raises: OSError(ESRCH)."""
    _ptrace(_LISTEN, tid, 0, 0)


def call_at(tid: int) -> CallEntry | CallExit | None:
    """Return what a thread that stands still at a system call is about to ask for, or was answered.

    None: it stands elsewhere. Raises: OSError(ESRCH); EIO before Linux 5.3, which does not tell.
    """
    buffer = ctypes.create_string_buffer(_INFO_SIZE)
    _ptrace(_GET_SYSCALL_INFO, tid, _INFO_SIZE, ctypes.addressof(buffer))
    kind, architecture, _, _ = _HEAD.unpack_from(buffer)
    if kind == _AT_ENTRY:
        number, *arguments = _ENTRY.unpack_from(buffer, _HEAD.size)
        return CallEntry(architecture, number, tuple(arguments))
    if kind == _AT_EXIT:
        value, failed = _EXIT.unpack_from(buffer, _HEAD.size)
        return CallExit(-value if failed else 0)
    return None
