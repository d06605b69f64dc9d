"""Hashes of passwords as /etc/shadow has them, by the host's libcrypt.

Source: crypt(3) and crypt(5) of libxcrypt, the libcrypt of today's distributions.
"""

import ctypes
from functools import cache

from insula.errors import OperationUnsupportedError

PASSWORD_MAX = 512
"""Bytes that crypt takes: CRYPT_MAX_PASSPHRASE_SIZE."""

_METHOD = b"$6$"
"""sha512crypt: what every guest's own libc and busybox understand, also those that know no yescrypt."""
_ROUNDS = 100_000
_LIBRARIES = ("libcrypt.so.1", "libcrypt.so.2")


def password_hash(password: str) -> str:
    """Return a new hash of a password. It takes some tens of milliseconds of a processor, on purpose.

    Raises: OperationUnsupportedError if this host has no library for it.
    """
    library, libc = _library(), _libc()
    setting = library.crypt_gensalt_ra(_METHOD, _ROUNDS, None, 0)
    if not setting:
        raise OperationUnsupportedError("the host's libcrypt knows no sha512crypt: give the password's hash")
    data, size = ctypes.c_void_p(), ctypes.c_int()
    try:
        # What this returns lies in data, which is this call's own: other threads may hash meanwhile.
        found = library.crypt_ra(password.encode(), ctypes.string_at(setting), ctypes.byref(data), ctypes.byref(size))
        if not found or not found.startswith(_METHOD):
            raise OperationUnsupportedError("the host's libcrypt made no hash: give the password's hash")
        return str(found.decode("ascii"))
    finally:
        if data.value:
            ctypes.memset(data, 0, size.value)
        libc.free(data)
        libc.free(ctypes.c_void_p(setting))


@cache
def _library() -> ctypes.CDLL:
    for name in _LIBRARIES:
        try:
            library = ctypes.CDLL(name)
            library.crypt_ra.restype = ctypes.c_char_p
            library.crypt_ra.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p]
            library.crypt_gensalt_ra.restype = ctypes.c_void_p
            library.crypt_gensalt_ra.argtypes = [ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p, ctypes.c_int]
        except (OSError, AttributeError):
            continue
        return library
    raise OperationUnsupportedError("this host has no libcrypt to hash a password: give the password's hash")


@cache
def _libc() -> ctypes.CDLL:
    library = ctypes.CDLL(None)
    library.free.argtypes = [ctypes.c_void_p]
    library.free.restype = None
    return library
