"""What went through guests' interfaces, for one or for all domains in one question to the kernel.

Source: linux/if_link.h (if_stats_msg, rtnl_link_stats64). RTM_GETSTATS answers with 200 bytes an interface where a list
of links takes 1500.
"""

import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from insula.network.rtnetlink import MessageType, NetlinkRequest, Rtnetlink, attributes

_QUESTION = struct.Struct("=BxHII")
"""if_stats_msg: family, padding, index of the interface, mask of the kinds wanted."""
_COUNTERS = struct.Struct("=8Q")
"""The first of rtnl_link_stats64: packets received and sent, bytes, errors, drops, each received and sent."""
_LINK_64 = 1
_FEW = 4
"""Up to so many interfaces are asked for one by one: 15 µs each, where all of a host's cost 2 µs each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InterfaceStatistics:
    """Counters as the guest sees them: received is what came to the guest."""

    received_bytes: int
    received_packets: int
    received_errors: int
    received_drops: int
    sent_bytes: int
    sent_packets: int
    sent_errors: int
    sent_drops: int


def statistics(kernel: Rtnetlink, indices: Collection[int]) -> Mapping[int, InterfaceStatistics]:
    """Return the counters by index of the host's end; interfaces that are gone are left out.

    Raises: OSError.
    """
    if len(indices) > _FEW:
        bodies = kernel.dump(_request(0))
    else:
        bodies = [body for index in indices if (body := kernel.show(_request(index))) is not None]
    wanted = frozenset(indices)
    found = {}
    for body in bodies:
        index = _QUESTION.unpack_from(body)[2]
        if index in wanted:
            counters = attributes(body, _QUESTION.size).get(_LINK_64)
            if counters is not None:
                found[index] = _from_guests_side(counters)
    return found


def statistics_inside(kernel: Rtnetlink, index: int) -> InterfaceStatistics | None:
    """Return the counters of an interface that has no end on the host, asked for in the guest's network; None: gone.

    Raises: OSError.
    """
    body = kernel.show(_request(index))
    found = None if body is None else attributes(body, _QUESTION.size).get(_LINK_64)
    return None if found is None else _turned_round(_from_guests_side(found))


def _request(index: int) -> NetlinkRequest:
    return NetlinkRequest(
        message=MessageType.SHOW_STATISTICS,
        body=_QUESTION.pack(0, 0, index, _LINK_64),
        what=f"counters of interface {index}",
    )


def _turned_round(counted: InterfaceStatistics) -> InterfaceStatistics:
    return InterfaceStatistics(
        received_bytes=counted.sent_bytes,
        received_packets=counted.sent_packets,
        received_errors=counted.sent_errors,
        received_drops=counted.sent_drops,
        sent_bytes=counted.received_bytes,
        sent_packets=counted.received_packets,
        sent_errors=counted.received_errors,
        sent_drops=counted.received_drops,
    )


def _from_guests_side(counters: bytes) -> InterfaceStatistics:
    """Turn the host's counters round: what its end of the pair sent is what the guest received."""
    in_packets, out_packets, in_bytes, out_bytes, in_errors, out_errors, in_drops, out_drops = _COUNTERS.unpack_from(
        counters
    )
    return InterfaceStatistics(
        received_bytes=out_bytes,
        received_packets=out_packets,
        received_errors=out_errors,
        received_drops=out_drops,
        sent_bytes=in_bytes,
        sent_packets=in_packets,
        sent_errors=in_errors,
        sent_drops=in_drops,
    )
