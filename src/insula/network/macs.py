"""MAC addresses for guests' network cards."""

import os
from collections.abc import Container

from insula.errors import InternalError

GUEST_PREFIX = "52:54:00"
"""libvirt's prefix: what administrators know as a guest's card."""

_TRIES = 100


def random_mac(taken: Container[str] = frozenset()) -> str:
    """Return a MAC address with libvirt's prefix that is not among the taken ones.

    Raises: InternalError if the search does not end, which 16 million addresses do not allow.
    """
    for _ in range(_TRIES):
        mac = f"{GUEST_PREFIX}:{os.urandom(3).hex(':')}"
        if mac not in taken:
            return mac
    raise InternalError(f"{_TRIES} random MAC addresses were all taken")


def host_side_mac(guest: str) -> str:
    """Return the MAC address for the host's end of a guest's pair.

    It begins with fe, as libvirt does it: a bridge takes the lowest address of its ports for its own, and must not
    change it whenever a guest starts or stops.
    """
    return f"fe{guest[2:]}"
