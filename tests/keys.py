"""Keys in the test process's session keyring. Source: add_key(2), keyctl(2)."""

import contextlib
import ctypes
import os
from collections.abc import Iterator

_libc = ctypes.CDLL(None, use_errno=True)
_ADD_KEY = {"x86_64": 248, "aarch64": 217}
_KEYCTL = {"x86_64": 250, "aarch64": 219}
_SESSION_KEYRING = -3
_INVALIDATE = 21


@contextlib.contextmanager
def session_key(name: str) -> Iterator[None]:
    """Have a key of that name in the session keyring within the block."""
    machine = os.uname().machine
    key = _libc.syscall(_ADD_KEY[machine], b"user", name.encode(), b"secret", 6, _SESSION_KEYRING)
    if key < 0:
        raise OSError(ctypes.get_errno(), f"add_key: {os.strerror(ctypes.get_errno())}")
    try:
        yield
    finally:
        _libc.syscall(_KEYCTL[machine], _INVALIDATE, key)
