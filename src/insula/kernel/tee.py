"""tee(2), which Python does not have."""

from insula.kernel.syscall import libc

NONBLOCK = 2
"""SPLICE_F_NONBLOCK. Source: splice(2)."""


@libc("tee")
def tee(source: int, target: int, size: int, flags: int) -> int:
    """Copy what lies in a pipe into another one, and return how much; it stays in the first."""
    raise NotImplementedError
