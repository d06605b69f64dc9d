"""A tap that stays when nobody has it open: a guest's card, whoever carries its traffic.

Its addresses, routes and settings stay with it, so a helper that ends takes nothing but the carrier.
Source: kernel document `networking/tuntap`, linux/if_tun.h.
"""

import errno
import fcntl
import os
import struct

DEVICE = "/dev/net/tun"
_TUNSETIFF, _TUNSETPERSIST = 0x400454CA, 0x400454CB
_TAP, _NO_PROTOCOL, _EXCLUSIVE = 0x0002, 0x1000, 0x8000
_NAME_SIZE, _REQUEST_SIZE = 16, 40


def create_persistent_tap(name: str) -> None:
    """Make a tap in the network namespace of the calling thread.

    Raises: OSError: EEXIST for a name that is taken, ENODEV without the kernel's module `tun`.
    """
    try:
        descriptor = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise OSError(errno.ENODEV, f"the host has no {DEVICE}: load the kernel's module tun") from error
    try:
        flags = _TAP | _NO_PROTOCOL | _EXCLUSIVE
        request = struct.pack(f"{_NAME_SIZE}sH", name.encode(), flags)
        try:
            fcntl.ioctl(descriptor, _TUNSETIFF, request.ljust(_REQUEST_SIZE, b"\0"))
        except OSError as error:
            if error.errno in (errno.EBUSY, errno.EINVAL):
                raise OSError(errno.EEXIST, f"the guest has an interface '{name}' already") from error
            raise
        fcntl.ioctl(descriptor, _TUNSETPERSIST, 1)
    finally:
        os.close(descriptor)
