"""Letting go of a process that has made us its tracer."""

from insula.kernel.syscall import libc

_DETACH = 17
"""Source: linux/ptrace.h."""


@libc("ptrace")
def _ptrace(request: int, pid: int, address: int, data: int) -> int:
    raise NotImplementedError


def detach(pid: int, number: int) -> None:
    """Trace a process no longer, and let it go on from its stop with a signal, or with 0 for none: ptrace(2).

    Raises: OSError(ESRCH) if it is not stopped, or not traced by this thread.
    """
    _ptrace(_DETACH, pid, 0, number)
