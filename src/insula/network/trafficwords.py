"""What messages about the kernel's traffic control are made of: queues, classes and filters.

Sources: linux/rtnetlink.h, linux/pkt_sched.h, linux/pkt_cls.h.
"""

import errno
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

from insula.network.rtnetlink import MessageType, NetlinkRequest, Rtnetlink, attribute

SUBJECT = struct.Struct("=BxxxiIII")
"""tcmsg: family, index, handle, parent, info."""
SELECTOR = struct.Struct("=BBBxHHhhI")
KEY = struct.Struct("=4s4sii")
"""tc_u32_sel and one tc_u32_key: a word of the packet under a mask, where it is counted from the network header."""
ROOT = 0xFFFFFFFF
HANDLE = 0x10000
ALL_PROTOCOLS = 0x0300
"""ETH_P_ALL in network order."""
TERMINAL = 1
PRIORITY_SHIFT = 16
TICKS_A_SECOND = 1_000_000_000 // 64
"""Source: PSCHED_SHIFT in Linux' include/net/pkt_sched.h."""
MOST_32 = (1 << 32) - 1
FRAME = 1600
"""Bytes of a usual frame with all its headers."""
LONGEST = 66_000
"""Bytes of what a guest hands over at once: its segments are cut behind us."""
PATIENCE = 0.2
"""Seconds that what waits in a shaper may be old."""

_RATE = struct.Struct("=BBHhHI")
"""tc_ratespec: cell size as a power of two, link layer, overhead, alignment, least packet, bytes a second."""
_NUMBER_64 = struct.Struct("=Q")
_ETHERNET = 1
"""The link layer. The kernel needs no table of times for it."""
_CELL = 3


class TrafficAttribute(IntEnum):
    """Attributes of queues, classes and filters (TCA_…), and within their options (TCA_TBF_…, TCA_HTB_…, …)."""

    KIND = 1
    OPTIONS = 2
    TBF_PARAMETERS = 1
    TBF_RATE_64 = 4
    TBF_PEAK_64 = 5
    TBF_BURST = 6
    TBF_PEAK_BURST = 7
    HTB_PARAMETERS = 1
    HTB_BEGINNING = 2
    HTB_RATE_64 = 6
    HTB_CEILING_64 = 7
    U32_CLASS = 1
    U32_SELECTOR = 5
    U32_ACTION = 7
    ACTION_KIND = 1
    ACTION_OPTIONS = 2
    POLICE_PARAMETERS = 1
    POLICE_RATE_TABLE = 2
    POLICE_PEAK_TABLE = 3
    POLICE_RATE_64 = 8
    POLICE_PEAK_64 = 9


def rate_part(rate: int) -> bytes:
    """Return a rate in bytes a second as parameters have it; beyond 32 bits `long_rate` tells it beside them."""
    return _RATE.pack(_CELL if rate else 0, _ETHERNET if rate else 0, 0, 0, 0, min(rate, MOST_32))


def long_rate(kind: int, rate: int) -> bytes:
    return attribute(kind, _NUMBER_64.pack(rate)) if rate > MOST_32 else b""


def ticks(count: int, rate: int) -> int:
    """Return what so many bytes take at a rate, as far as 32 bits hold it."""
    return min(count * TICKS_A_SECOND // max(rate, 1), MOST_32)


def remove_queue(index: int, handle: int, parent: int) -> NetlinkRequest:
    body = SUBJECT.pack(0, index, handle, parent, 0)
    return NetlinkRequest(message=MessageType.DELETE_QUEUE, body=body, what="a former limit")


def perform_away(host: Rtnetlink, request: NetlinkRequest) -> None:
    """Nothing may be there: an interface has no queue of its own until it is given one."""
    try:
        host.perform(request)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.EINVAL):
            raise


@contextmanager
def needing(modules: str) -> Iterator[None]:
    """Have a kernel that knows no such queue or filter refuse in words. modules: what it would need."""
    try:
        yield
    except FileNotFoundError as error:
        raise OSError(
            errno.EOPNOTSUPP, f"{error.strerror}; the kernel lacks what limits traffic ({modules})"
        ) from error
