"""Which sockets a guest may make, as data: families, netlink protocols, transports, and options that load more code.

Every family and protocol is kernel code that its user reaches without any privilege of the host, mostly loaded on
demand; those listed are what unmodified distributions use, and their own network namespace holds them. The others are
answered as by a kernel that was built without them. What a domain needs beyond that is added by name (`Seccomp`).

A 32-bit program of x86 can make sockets by socketcall too, whose arguments are in memory: no filter can read them, and
refusing it would end old 32-bit programs. Sources: socket(2), netlink(7), ip(7), packet(7), address_families(7),
linux/socket.h, linux/netlink.h, linux/in.h.
"""

import errno
from collections.abc import Iterable, Mapping

from insula.engine.spec import Seccomp
from insula.errors import InvalidArgumentError
from insula.kernel.callfilter import Condition, Rule, Unlisted
from insula.kernel.cgroups import SocketOption

FAMILIES = {
    "unix": 1,
    "inet": 2,
    "ax25": 3,
    "ipx": 4,
    "appletalk": 5,
    "x25": 9,
    "inet6": 10,
    "key": 15,
    "netlink": 16,
    "packet": 17,
    "rds": 21,
    "pppox": 24,
    "llc": 26,
    "ib": 27,
    "mpls": 28,
    "can": 29,
    "tipc": 30,
    "bluetooth": 31,
    "rxrpc": 33,
    "phonet": 35,
    "ieee802154": 36,
    "alg": 38,
    "nfc": 39,
    "vsock": 40,
    "kcm": 41,
    "qipcrtr": 42,
    "smc": 43,
    "xdp": 44,
    "mctp": 45,
}
"""Names of address_families(7), without `AF_`."""
USUAL_FAMILIES = ("unix", "inet", "inet6", "netlink", "packet")

NETLINK = {
    "route": 0,
    "usersock": 2,
    "sock_diag": 4,
    "nflog": 5,
    "xfrm": 6,
    "selinux": 7,
    "iscsi": 8,
    "audit": 9,
    "fib_lookup": 10,
    "connector": 11,
    "netfilter": 12,
    "ip6_fw": 13,
    "kobject_uevent": 15,
    "generic": 16,
    "scsitransport": 18,
    "ecryptfs": 19,
    "rdma": 20,
    "crypto": 21,
    "smc": 22,
}
"""Names of netlink(7), lower case, without `NETLINK_`."""
USUAL_NETLINK = ("route", "sock_diag", "netfilter", "kobject_uevent", "generic")

TRANSPORTS = {"dccp": 33, "l2tp": 115, "sctp": 132, "udplite": 136, "smc": 256}
"""Protocols of IP that are asked for by name; raw sockets, which send what the guest makes up, may have any number."""
_STREAMS = (0, 6, 262)
_DATAGRAMS = (0, 1, 17, 58)
"""IPPROTO_IP, _TCP, _MPTCP; _IP, _ICMP, _UDP, _ICMPV6."""

_SOCK_TYPE = 0xF
"""The bits of socket(2)'s second argument that are the type; the others are flags."""
_SOCK_STREAM, _SOCK_DGRAM, _SOCK_RAW, _SOCK_SEQPACKET, _SOCK_DCCP = 1, 2, 3, 5, 6
_TYPES = {"dccp": _SOCK_DCCP, "sctp": _SOCK_SEQPACKET}
"""Types that are one transport's own."""
_SOL_PACKET = 263
_PACKET_RINGS = (5, 13)
"""PACKET_RX_RING and PACKET_TX_RING of packet(7)."""
_SOL_RXRPC = 272
_SOL_ALG = 279
_SOL_TCP = 6
_TCP_ULP = 31
_INTERNET = Condition(argument=0, value=FAMILIES["inet"], mask=0xFFFFFFFF ^ FAMILIES["inet"] ^ FAMILIES["inet6"])
"""AF_INET or AF_INET6, which are the same but for one bit."""
_MAKERS = ("socket", "socketpair")


def socket_rules(seccomp: Seccomp) -> list[Rule]:
    """Return what refuses all of a container's sockets but those it may make.

    Raises: InvalidArgumentError for a family, a netlink protocol or a transport that there is no name for.
    """
    families = _numbers("socket family", FAMILIES, (*USUAL_FAMILIES, *seccomp.families))
    netlink = _numbers("netlink protocol", NETLINK, (*USUAL_NETLINK, *seccomp.netlink))
    further = _numbers("transport protocol", TRANSPORTS, seccomp.transports)
    types = {_SOCK_STREAM, _SOCK_DGRAM, _SOCK_RAW, *(_TYPES[each] for each in seccomp.transports if each in _TYPES)}
    rules = [
        Rule(names=_MAKERS, refusal=errno.EAFNOSUPPORT, conditions=(Unlisted(argument=0, values=families),)),
        Rule(
            names=_MAKERS,
            refusal=errno.EPROTONOSUPPORT,
            conditions=(Condition(argument=0, value=FAMILIES["netlink"]), Unlisted(argument=2, values=netlink)),
        ),
        Rule(
            names=_MAKERS,
            refusal=errno.ESOCKTNOSUPPORT,
            conditions=(_INTERNET, Unlisted(argument=1, mask=_SOCK_TYPE, values=tuple(sorted(types)))),
        ),
    ]
    rules += [
        Rule(
            names=_MAKERS,
            refusal=errno.EPROTONOSUPPORT,
            conditions=(
                _INTERNET,
                Condition(argument=1, mask=_SOCK_TYPE, value=kind),
                Unlisted(argument=2, values=tuple(sorted({*protocols, *further}))),
            ),
        )
        for kind, protocols in ((_SOCK_STREAM, _STREAMS), (_SOCK_DGRAM, _DATAGRAMS))
    ]
    if not seccomp.upper_layers:
        # Upper layers of TCP (TLS, ESP in TCP) are code loaded on demand, with holes of late. Without them libraries do
        # TLS themselves; ENOENT is what a kernel says that has none.
        rules.append(_option(_SOL_TCP, _TCP_ULP, errno.ENOENT))
    if not seccomp.packet_rings:
        # A ring is kernel memory as large as its maker says, and no limit counts it.
        rules += [_option(_SOL_PACKET, option, errno.ENOPROTOOPT) for option in _PACKET_RINGS]
    return rules


def _option(level: int, option: int, refusal: int) -> Rule:
    conditions = (Condition(argument=1, value=level), Condition(argument=2, value=option))
    return Rule(names=("setsockopt",), refusal=refusal, conditions=conditions)


def option_refusals(seccomp: Seccomp) -> tuple[SocketOption, ...]:
    """Return the options that are refused behind the filter, where socketcall does not get round it.

    No hook but those of security modules sees every socket made; but sockets of these families are of little use
    without the keys that options give them.
    """
    refused = []
    if "alg" not in seccomp.families:
        refused.append(SocketOption(level=_SOL_ALG))
    if "rxrpc" not in seccomp.families:
        refused.append(SocketOption(level=_SOL_RXRPC))
    if not seccomp.upper_layers:
        refused.append(SocketOption(level=_SOL_TCP, option=_TCP_ULP))
    if not seccomp.packet_rings:
        refused += [SocketOption(level=_SOL_PACKET, option=option) for option in _PACKET_RINGS]
    return tuple(refused)


def _numbers(kind: str, table: Mapping[str, int], names: Iterable[str]) -> tuple[int, ...]:
    found = set()
    for name in names:
        if name not in table:
            raise InvalidArgumentError(f"there is no {kind} '{name}': choose of {', '.join(table)}")
        found.add(table[name])
    return tuple(sorted(found))
