"""Sockets that strangers have too, and may be using.

Who sends from memory that is not there yet (userfaultfd(2), FUSE) has the socket's lock, as long as they like. Python's
own `socket` asks every descriptor that it is given for its address, for which the kernel takes that lock, and lets no
other thread run meanwhile.
"""

import ctypes
import socket

from insula.kernel.syscall import libc

_DOMAIN = 39
"""SO_DOMAIN in socket(7)."""


class _Number(ctypes.Structure):
    _fields_ = (("value", ctypes.c_int),)


class _Size(ctypes.Structure):
    _fields_ = (("value", ctypes.c_uint),)


class _Linger(ctypes.Structure):
    """struct linger: socket(7)."""

    _fields_ = (("on", ctypes.c_int), ("seconds", ctypes.c_int))


@libc("getsockopt")
def _getsockopt(fd: int, level: int, option: int, found: _Number, size: _Size) -> int:
    raise NotImplementedError


@libc("setsockopt")
def _setsockopt(fd: int, level: int, option: int, value: _Linger, size: int) -> int:
    raise NotImplementedError


def family_of(fd: int) -> int:
    """Return an AF_ number; waits for nobody. Raises: OSError(ENOTSOCK)."""
    found = _Number()
    _getsockopt(fd, socket.SOL_SOCKET, _DOMAIN, found, _Size(ctypes.sizeof(found)))
    return int(found.value)


def forget_linger(fd: int) -> None:
    """Let a socket's end take no time. May wait for who uses it; other threads run on. Raises: OSError(ENOTSOCK)."""
    off = _Linger()
    _setsockopt(fd, socket.SOL_SOCKET, socket.SO_LINGER, off, ctypes.sizeof(off))
