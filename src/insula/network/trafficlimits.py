"""How fast an interface may send and receive, as the kernel's traffic control takes it.

What is sent towards the guest leaves by the host's end of its pair, and is shaped there by a token bucket (tbf). What
comes from the guest enters by it, and is policed: what is above the limit is dropped before anything looks at it.

Sources: tc-tbf(8), tc-police(8), tc-u32(8), linux/pkt_sched.h, linux/pkt_cls.h, Linux' net/sched/sch_tbf.c and
act_police.c.
"""

import struct

from insula.engine.interfacespec import TrafficLimits, TrafficRate
from insula.network.rtnetlink import (
    MessageType,
    NetlinkFlag,
    NetlinkRequest,
    Rtnetlink,
    attribute,
    number,
    text,
)
from insula.network.trafficwords import (
    ALL_PROTOCOLS,
    FRAME,
    HANDLE,
    KEY,
    LONGEST,
    MOST_32,
    PATIENCE,
    PRIORITY_SHIFT,
    ROOT,
    SELECTOR,
    SUBJECT,
    TERMINAL,
    TrafficAttribute,
    long_rate,
    needing,
    perform_away,
    rate_part,
    remove_queue,
    ticks,
)

_BUCKET = struct.Struct("=III")
"""The end of tc_tbf_qopt: bytes that may wait, bucket in ticks, MTU; the bucket is told by attributes instead."""
_POLICE = struct.Struct("=IiIII")
"""The beginning of tc_police: index, action, limit, burst in ticks, longest packet."""
_COUNTS = struct.Struct("=iiI")
"""Its end: two counts and a capability, all of no use in a request."""
_INGRESS_PARENT, _INGRESS = 0xFFFFFFF1, 0xFFFF0000
_EMPTY_TABLE = bytes(1024)
"""act_police wants a table of times, and does not read it where the link layer is told."""
_DROP = 2
_FIRST = 1 << PRIORITY_SHIFT


def shape(index: int, rate: TrafficRate) -> NetlinkRequest:
    """Return the request that lets an interface send no faster; what was wanted before is replaced."""
    burst = max(rate.burst or rate.average // 20, 4 * FRAME)
    peak = rate.peak if rate.peak is not None and rate.peak > rate.average else None
    waiting = burst + max(int(rate.average * PATIENCE), 2 * LONGEST)
    parameters = rate_part(rate.average) + rate_part(peak or 0) + _BUCKET.pack(min(waiting, MOST_32), 0, 0)
    options = attribute(TrafficAttribute.TBF_PARAMETERS, parameters) + number(
        TrafficAttribute.TBF_BURST, min(burst, MOST_32)
    )
    options += long_rate(TrafficAttribute.TBF_RATE_64, rate.average)
    if peak is not None:
        options += number(TrafficAttribute.TBF_PEAK_BURST, max(2 * FRAME, peak // 1000))
        options += long_rate(TrafficAttribute.TBF_PEAK_64, peak)
    body = SUBJECT.pack(0, index, HANDLE, ROOT, 0) + text(TrafficAttribute.KIND, "tbf")
    return NetlinkRequest(
        message=MessageType.NEW_QUEUE,
        flags=NetlinkFlag.CREATE | NetlinkFlag.REPLACE,
        body=body + attribute(TrafficAttribute.OPTIONS, options),
        what="the limit of what is sent to the guest",
    )


def open_ingress(index: int) -> NetlinkRequest:
    """Return the request that lets what enters by an interface be looked at."""
    body = SUBJECT.pack(0, index, _INGRESS, _INGRESS_PARENT, 0) + text(TrafficAttribute.KIND, "ingress")
    return NetlinkRequest(
        message=MessageType.NEW_QUEUE,
        flags=NetlinkFlag.CREATE | NetlinkFlag.EXCLUSIVE,
        body=body,
        what="the limit of what the guest sends",
    )


def police(index: int, rate: TrafficRate) -> NetlinkRequest:
    """Return the request that drops what enters by an interface faster; `open_ingress` comes first."""
    burst = max(rate.burst or rate.average // 10, 2 * LONGEST)
    peak = rate.peak if rate.peak is not None and rate.peak > rate.average else None
    longest = MOST_32 if peak is None else LONGEST  # at peak speed, so much may come at once
    parameters = (
        _POLICE.pack(0, _DROP, 0, ticks(burst, rate.average), longest) + rate_part(rate.average) + rate_part(peak or 0)
    )
    options = attribute(TrafficAttribute.POLICE_PARAMETERS, parameters + _COUNTS.pack(0, 0, 0))
    options += attribute(TrafficAttribute.POLICE_RATE_TABLE, _EMPTY_TABLE) + long_rate(
        TrafficAttribute.POLICE_RATE_64, rate.average
    )
    if peak is not None:
        options += attribute(TrafficAttribute.POLICE_PEAK_TABLE, _EMPTY_TABLE) + long_rate(
            TrafficAttribute.POLICE_PEAK_64, peak
        )
    action = text(TrafficAttribute.ACTION_KIND, "police") + attribute(TrafficAttribute.ACTION_OPTIONS, options)
    everything = SELECTOR.pack(TERMINAL, 0, 1, 0, 0, 0, 0, 0) + KEY.pack(bytes(4), bytes(4), 0, 0)
    choice = attribute(TrafficAttribute.U32_SELECTOR, everything) + attribute(
        TrafficAttribute.U32_ACTION, attribute(1, action)
    )
    body = SUBJECT.pack(0, index, 0, _INGRESS, _FIRST | ALL_PROTOCOLS) + text(TrafficAttribute.KIND, "u32")
    return NetlinkRequest(
        message=MessageType.NEW_FILTER,
        flags=NetlinkFlag.CREATE | NetlinkFlag.EXCLUSIVE,
        body=body + attribute(TrafficAttribute.OPTIONS, choice),
        what="the limit of what the guest sends",
    )


def limit_traffic(host: Rtnetlink, index: int, limits: TrafficLimits | None) -> None:
    """Let the limits of a guest's interface hold, and no others. index: of the host's end.

    Raises: OSError, with EOPNOTSUPP where the kernel has no such limits.
    """
    limits = limits or TrafficLimits()
    with needing("sch_tbf"):
        if limits.inbound is not None:
            host.perform(shape(index, limits.inbound))
        else:
            perform_away(host, remove_queue(index, 0, ROOT))
    hold_entering(host, index, limits.outbound)


def hold_entering(host: Rtnetlink, index: int, rate: TrafficRate | None) -> None:
    """Let what enters by an interface be no faster, None for no limit. Raises: as `limit_traffic`."""
    # A filter is not replaced by another one: for a moment there is none.
    perform_away(host, remove_queue(index, _INGRESS, _INGRESS_PARENT))
    if rate is not None:
        with needing("sch_ingress, cls_u32, act_police"):
            host.perform(open_ingress(index))
            host.perform(police(index, rate))
