"""How much a bridge sends to its guests together, and what of that is set aside for some of them.

What the host sends into a bridge, or routes into it, leaves by the bridge's own device; what guests send one another
does not. On that device stands a tree of classes (htb):

1:     what fits no filter goes to 1:2
1:1    the rate of all together: `average`, and `peak` for each class below
1:2    everybody whom nothing is set aside for: first in what 1:1 has left
1:3…   one for each guest with a floor: its floor at once, more if 1:2 leaves it

A guest's class is found by its filter, which has the class's number for its priority and knows the guest by its MAC
address. So the kernel alone remembers what is set aside: a daemon that died has lost nothing.

Sources: tc-htb(8), tc-u32(8), linux/pkt_sched.h, Linux' net/sched/sch_htb.c and cls_u32.c.
"""

import errno
import struct
from collections.abc import Collection
from dataclasses import dataclass

from insula.engine.interfacespec import TrafficRate
from insula.network.linkattributes import mac_bytes
from insula.network.rtnetlink import (
    MessageType,
    NetlinkFlag,
    NetlinkRequest,
    Rtnetlink,
    as_text,
    attribute,
    attributes,
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

_BEGINNING = struct.Struct("=IIIII")
"""tc_htb_glob: version, rate a quantum, default class, debugging, packets past all classes."""
_CLASS = struct.Struct("=IIIII")
"""The end of tc_htb_opt: bucket and bucket at the ceiling, in ticks; quantum, level, priority."""
_RATES = struct.Struct("=8xI8xI")
"""The beginning of tc_htb_opt: two tc_ratespec, of which the rates are told."""
_NUMBER_64 = struct.Struct("=Q")
_VERSION, _RATE_A_QUANTUM = 3, 10
_ALL, _OTHERS, _FIRST_FLOOR, _LAST_FLOOR = 1, 2, 3, 0xFFFF
"""Minor numbers of classes."""
_LITTLE = 1000
"""Bytes a second that the class of the others has of its own: the kernel takes none without."""
_BEFORE, _BEHIND = 0, 1
"""Priorities in what is left."""
_TO = -14
"""Where a frame's destination begins, seen from its network header."""
_MODULES = "sch_htb, cls_u32"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Class:
    """rate, ceiling: bytes a second."""

    minor: int
    rate: int
    ceiling: int


def share_rate(host: Rtnetlink, index: int, rate: TrafficRate) -> None:
    """Let a bridge send to its guests no faster; what is set aside of it stays. index: the bridge's.

    Raises: OSError, with EOPNOTSUPP where the kernel cannot.
    """
    ceiling = max(rate.peak or 0, rate.average)
    with needing(_MODULES):
        if _ALL not in _classes(host, index):
            perform_away(host, remove_queue(index, 0, ROOT))
            host.perform(_tree(index))
        burst = max(rate.burst or rate.average // 20, 4 * FRAME)
        host.perform(
            _class(index, _ALL, rate=rate.average, ceiling=ceiling, burst=burst, parent=ROOT),
            _class(index, _OTHERS, rate=_LITTLE, ceiling=ceiling, burst=FRAME, before=_BEFORE),
            _queue(index, _OTHERS, ceiling),
        )


def set_aside(host: Rtnetlink, index: int, mac: str, floor: int) -> None:
    """Set a part of a bridge's rate aside for a guest. May be called again, with another floor too.

    index: the bridge's; floor: bytes a second; mac: the guest's.
    Raises: OSError, with EDQUOT if the floors would be more than there is, with EOPNOTSUPP if the bridge has no rate.
    """
    there = _classes(host, index)
    whole = there.get(_ALL)
    if whole is None:
        raise OSError(
            errno.EOPNOTSUPP,
            f"invalid use of 'floor' on interface with MAC address {mac}: its bridge has no inbound QoS set",
        )
    known = _places(host, index).get(mac_bytes(mac))
    former = there.get(known) if known is not None else None
    if former is not None and former.rate == floor and former.ceiling == whole.ceiling:
        return
    with needing(_MODULES):
        place = _take_place(host, index, there) if known is None else known
        host.perform(_floor(index, place, floor, whole.ceiling), _queue(index, place, whole.ceiling))
        if known is None:
            host.perform(_filter(index, place, mac_bytes(mac)))
    if _set_aside_in_all(host, index) <= whole.ceiling:
        return
    if former is None:
        _give_back(host, index, place)
    else:
        host.perform(_floor(index, place, former.rate, former.ceiling))
    word = "peak" if whole.ceiling > whole.rate else "average"
    raise OSError(
        errno.EDQUOT,
        f"its floor would overcommit '{word}' on its network: of {whole.ceiling // 1000} kilobytes a second "
        f"{_set_aside_in_all(host, index) // 1000} are set aside, and {floor // 1000} are wanted",
    )


def set_aside_no_more(host: Rtnetlink, index: int, mac: str) -> None:
    """Give back what of a bridge's rate is set aside for a guest. May be called again."""
    place = _places(host, index).get(mac_bytes(mac))
    if place is not None:
        _give_back(host, index, place)


def floors(host: Rtnetlink, index: int) -> dict[str, int]:
    """Return what of a bridge's rate is set aside, in bytes a second, by the guests' MAC addresses."""
    there = _classes(host, index)
    return {mac.hex(":"): there[place].rate for mac, place in _places(host, index).items() if place in there}


def _set_aside_in_all(host: Rtnetlink, index: int) -> int:
    return sum(floors(host, index).values())


def _take_place(host: Rtnetlink, index: int, there: Collection[int]) -> int:
    """Return the number of a class that was made just now: two guests that start at once take two."""
    for minor in range(_FIRST_FLOOR, _LAST_FLOOR + 1):
        if minor in there:
            continue
        try:
            host.perform(_class(index, minor, rate=_LITTLE, ceiling=_LITTLE, burst=FRAME, alone=True))
        except FileExistsError:
            continue
        return minor
    raise OSError(errno.EDQUOT, "no bridge sets a part of its rate aside for so many guests")


def _give_back(host: Rtnetlink, index: int, place: int) -> None:
    subject = SUBJECT.pack(0, index, 0, HANDLE, place << PRIORITY_SHIFT | ALL_PROTOCOLS)
    perform_away(host, NetlinkRequest(message=MessageType.DELETE_FILTER, body=subject, what="a former floor"))
    subject = SUBJECT.pack(0, index, HANDLE | place, 0, 0)
    perform_away(host, NetlinkRequest(message=MessageType.DELETE_CLASS, body=subject, what="a former floor"))


def _tree(index: int) -> NetlinkRequest:
    beginning = attribute(TrafficAttribute.HTB_BEGINNING, _BEGINNING.pack(_VERSION, _RATE_A_QUANTUM, _OTHERS, 0, 0))
    body = SUBJECT.pack(0, index, HANDLE, ROOT, 0) + text(TrafficAttribute.KIND, "htb")
    return NetlinkRequest(
        message=MessageType.NEW_QUEUE,
        flags=NetlinkFlag.CREATE | NetlinkFlag.EXCLUSIVE,
        body=body + attribute(TrafficAttribute.OPTIONS, beginning),
        what="the rate of a bridge",
    )


def _class(
    index: int,
    minor: int,
    *,
    rate: int,
    ceiling: int,
    burst: int,
    parent: int = HANDLE | _ALL,
    before: int = _BEHIND,
    alone: bool = False,
) -> NetlinkRequest:
    """alone: whether it must not be there yet; one that is there becomes what is said otherwise."""
    rest = _CLASS.pack(ticks(burst, rate), ticks(max(LONGEST, ceiling // 1000), ceiling), LONGEST, 0, before)
    options = attribute(TrafficAttribute.HTB_PARAMETERS, rate_part(rate) + rate_part(ceiling) + rest)
    options += long_rate(TrafficAttribute.HTB_RATE_64, rate) + long_rate(TrafficAttribute.HTB_CEILING_64, ceiling)
    body = SUBJECT.pack(0, index, HANDLE | minor, parent, 0) + text(TrafficAttribute.KIND, "htb")
    return NetlinkRequest(
        message=MessageType.NEW_CLASS,
        flags=NetlinkFlag.CREATE | (NetlinkFlag.EXCLUSIVE if alone else NetlinkFlag.NONE),
        body=body + attribute(TrafficAttribute.OPTIONS, options),
        what="a part of a bridge's rate",
    )


def _floor(index: int, place: int, floor: int, ceiling: int) -> NetlinkRequest:
    return _class(index, place, rate=floor, ceiling=ceiling, burst=max(floor // 20, LONGEST))


def _queue(index: int, minor: int, rate: int) -> NetlinkRequest:
    """What waits in a class, no longer than a moment: without it the kernel would keep a thousand packets."""
    most = number(0, min(int(rate * PATIENCE) + 2 * LONGEST, MOST_32))[4:]
    body = SUBJECT.pack(0, index, minor << PRIORITY_SHIFT, HANDLE | minor, 0) + text(TrafficAttribute.KIND, "bfifo")
    return NetlinkRequest(
        message=MessageType.NEW_QUEUE,
        flags=NetlinkFlag.CREATE | NetlinkFlag.REPLACE,
        body=body + attribute(TrafficAttribute.OPTIONS, most),
        what="what waits for a bridge",
    )


def _filter(index: int, place: int, mac: bytes) -> NetlinkRequest:
    """What is sent to a guest, by the destination of its frames."""
    keys = KEY.pack(bytes(4 * [0xFF]), mac[:4], _TO, 0) + KEY.pack(b"\xff\xff\0\0", mac[4:] + bytes(2), _TO + 4, 0)
    options = number(TrafficAttribute.U32_CLASS, HANDLE | place)
    options += attribute(TrafficAttribute.U32_SELECTOR, SELECTOR.pack(TERMINAL, 0, 2, 0, 0, 0, 0, 0) + keys)
    body = SUBJECT.pack(0, index, 0, HANDLE, place << PRIORITY_SHIFT | ALL_PROTOCOLS)
    return NetlinkRequest(
        message=MessageType.NEW_FILTER,
        flags=NetlinkFlag.CREATE | NetlinkFlag.EXCLUSIVE,
        body=body + text(TrafficAttribute.KIND, "u32") + attribute(TrafficAttribute.OPTIONS, options),
        what="a part of a bridge's rate for a guest",
    )


def _classes(host: Rtnetlink, index: int) -> dict[int, _Class]:
    """Return the classes of our tree on a bridge, by their minor numbers; none without a tree."""
    subject = SUBJECT.pack(0, index, 0, 0, 0)
    request = NetlinkRequest(message=MessageType.SHOW_CLASS, body=subject, what="the parts of a bridge's rate")
    found = {}
    for each in host.dump(request):
        _, _, handle, _, _ = SUBJECT.unpack_from(each)
        told = attributes(each, SUBJECT.size)
        if handle & ~0xFFFF != HANDLE or as_text(told.get(TrafficAttribute.KIND, b"")) != "htb":
            continue
        options = attributes(told.get(TrafficAttribute.OPTIONS, b""))
        rate, ceiling = _RATES.unpack_from(options[TrafficAttribute.HTB_PARAMETERS])
        if TrafficAttribute.HTB_RATE_64 in options:
            rate = _NUMBER_64.unpack(options[TrafficAttribute.HTB_RATE_64])[0]
        if TrafficAttribute.HTB_CEILING_64 in options:
            ceiling = _NUMBER_64.unpack(options[TrafficAttribute.HTB_CEILING_64])[0]
        minor = handle & 0xFFFF
        found[minor] = _Class(minor=minor, rate=rate, ceiling=ceiling)
    return found


def _places(host: Rtnetlink, index: int) -> dict[bytes, int]:
    """Return the minor numbers of guests' classes on a bridge, by MAC address, as the filters have them."""
    subject = SUBJECT.pack(0, index, 0, HANDLE, 0)
    request = NetlinkRequest(message=MessageType.SHOW_FILTER, body=subject, what="the filters of a bridge's rate")
    found = {}
    for each in host.dump(request):
        *_, information = SUBJECT.unpack_from(each)
        options = attributes(attributes(each, SUBJECT.size).get(TrafficAttribute.OPTIONS, b""))
        selector = options.get(TrafficAttribute.U32_SELECTOR)
        if selector is None or len(selector) < SELECTOR.size + 2 * KEY.size:
            continue
        _, first, start, _ = KEY.unpack_from(selector, SELECTOR.size)
        _, second, _, _ = KEY.unpack_from(selector, SELECTOR.size + KEY.size)
        if start == _TO:
            found[first + second[:2]] = information >> PRIORITY_SHIFT
    return found
