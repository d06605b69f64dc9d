"""Amounts as other programs spell them: sizes, times, shares of processors, addresses with prefixes."""

import re
from ipaddress import IPv4Interface, IPv6Interface, ip_interface

from insula.model.interfaces import AddressFamily, InterfaceIp, InterfaceRoute
from insula.model.scalars import UNLIMITED, Bound, IpAddress, read_bound
from insula.model.sizes import UNSIGNED_LONG_MAX, Bytes

_SIZE = re.compile(r"(?P<number>[0-9]{1,20}(\.[0-9]{1,6})?)\s*(?P<unit>[kmgtpe]?)(?P<binary>i?b?)\Z", re.IGNORECASE)
_POWERS = ("", "k", "m", "g", "t", "p", "e")
_TIME = re.compile(r"(?P<number>[+-]?[0-9]{1,18})\s*(?P<unit>h|m|s|ms|us|ns)?\Z")
_NANOSECONDS = {"h": 3600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6, "us": 1000, "ns": 1}
NOTHING = frozenset({"max", "infinity", "unlimited", "-1"})
"""How no limit is spelled."""


def read_size(text: str) -> Bytes:
    """Return the bytes that `512M`, `1.5G`, `64KiB` or a number say; units are powers of 1024. Raises: ValueError."""
    found = _SIZE.match(text.strip())
    if found is None:
        raise ValueError(f"'{text[:40]}' is no size")
    whole, _, part = found["number"].partition(".")
    factor = 1 << (10 * _POWERS.index(found["unit"].lower()))
    size = int(whole) * factor + (int(part) * factor // 10 ** len(part) if part else 0)
    if size > UNSIGNED_LONG_MAX:
        raise ValueError(f"'{text[:40]}' is more than 64 bits of bytes")
    return Bytes(size)


def read_limit(text: str) -> Bytes | None:
    """Return the bytes of a limit, None for none: a word for it, or what only a limit that means none has.

    Raises: ValueError.
    """
    if text.strip().lower() in NOTHING:
        return None
    size = read_size(text)
    return None if size >= 2**63 - 4096 * 16 else size  # what cgroup v1 says for none, whatever the page's size


def read_nanoseconds(text: str) -> int:
    """Return what `1h`, `-30m`, `250ms` or a number of seconds says. Raises: ValueError."""
    found = _TIME.match(text.strip())
    if found is None:
        raise ValueError(f"'{text[:40]}' is no time")
    return int(found["number"]) * _NANOSECONDS[found["unit"] or "s"]


def read_rlimit(text: str) -> tuple[Bound | None, Bound]:
    """Return the soft and the hard limit of `SOFT:HARD`, None and the limit for one that is both.

    Raises: ValueError.
    """
    soft, colon, hard = text.partition(":")
    return (_bound(soft), _bound(hard)) if colon else (None, _bound(soft))


def _bound(text: str) -> Bound:
    return UNLIMITED if text.strip().lower() in NOTHING else read_bound(text)


def read_address(text: str) -> InterfaceIp:
    """Return the address of `192.0.2.1/24`, or of one without a prefix. Raises: ValueError."""
    address, slash, prefix = text.strip().partition("/")
    if "%" in text:
        raise ValueError(f"'{text[:60]}' has a scope")
    found = ip_interface(f"{address}/{prefix}" if slash else address)
    return InterfaceIp(address=found.ip, family=family_named(found), prefix=found.network.prefixlen if slash else None)


def family_named(address: IpAddress | IPv4Interface | IPv6Interface) -> AddressFamily:
    return AddressFamily.IPV4 if address.version == 4 else AddressFamily.IPV6


def default_route(gateway: IpAddress) -> InterfaceRoute:
    """Return the route to everywhere by a gateway, as libvirt writes it."""
    anywhere = type(gateway)(0)
    return InterfaceRoute(family=family_named(gateway), address=anywhere, prefix=0, gateway=gateway)


def is_default(route: InterfaceRoute) -> bool:
    """Whether a route leads everywhere, and says no more than its gateway."""
    return route.network.prefixlen == 0 and route.metric is None
