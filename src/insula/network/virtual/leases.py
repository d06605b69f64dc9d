"""The addresses that a dnsmasq has given, as its file of leases has them.

Source: dnsmasq(8), "--dhcp-leasefile", and its lease_update_file(): a line a lease, those of IPv6 behind the line `duid
…`.
"""

import time
from collections.abc import Sequence
from ipaddress import IPv4Interface, IPv6Interface, ip_address
from pathlib import Path

from insula.network.virtual.networkrecord import Lease

_UNKNOWN = "*"
_BY_MAC = {"00:01:00:01": 8, "00:03:00:01": 4}
"""How DUIDs begin that are made of an Ethernet address, and how many bytes stand before it: RFC 8415, 11.2 and 11.4."""
_NO_DATE = 253_402_300_800
"""Seconds since 1970 with which the year 10000 begins: nobody can show it."""
_SETTLED = 0.02
"""Seconds that a file must have been still: dnsmasq cuts it and writes it anew, in one go and in place."""
_LOOKS = 50
_LARGEST = 32 << 20


def parse_leases(text: str, subnets: Sequence[IPv4Interface | IPv6Interface], now: float) -> tuple[Lease, ...]:
    """Return the leases that have not ended by now (seconds since 1970), in the order of their addresses.

    subnets: the bridge's addresses, which tell the prefixes. Lines that are none of dnsmasq's, or are not whole, count
    for nothing.
    """
    found = []
    version6 = False
    for line in text.splitlines():
        words = line.split(" ")
        if words[0] == "duid":
            version6 = True
        elif len(words) == 5 and (lease := _lease(words, version6, subnets)) is not None:
            found.append(lease)
    live = [each for each in found if not each.expiry or each.expiry > now]
    return tuple(sorted(live, key=lambda each: (each.version, int(ip_address(each.address)))))


def _lease(words: Sequence[str], version6: bool, subnets: Sequence[IPv4Interface | IPv6Interface]) -> Lease | None:
    expiry, who, address, hostname, client = words
    try:
        parsed = ip_address(address)
        ends = int(expiry)
    except ValueError:
        return None
    if not 0 <= ends < _NO_DATE:
        return None
    prefix = next((each.network.prefixlen for each in subnets if parsed in each.network), parsed.max_prefixlen)
    known = client if client != _UNKNOWN else None
    return Lease(
        address=str(parsed),
        prefix=prefix,
        version=parsed.version,
        expiry=ends,
        mac=_mac_of_duid(client) if version6 else who.rpartition("-")[2].lower(),
        hostname=hostname if hostname != _UNKNOWN else None,
        client=known,
        iaid=who.removeprefix("T") if version6 else None,
    )


def _mac_of_duid(duid: str) -> str | None:
    for beginning, before in _BY_MAC.items():
        parts = duid.split(":")
        if duid.startswith(beginning) and len(parts) == before + 6:
            return ":".join(parts[before:]).lower()
    return None


def read_lease_file(path: Path) -> str:
    """Return what the file says once it is whole; empty if there is none.

    dnsmasq writes it anew in place: whoever reads meanwhile would find part of it, so a file that has just changed, or
    changes meanwhile, is read again after some milliseconds.
    Raises: OSError.
    """
    text = ""
    for _ in range(_LOOKS):
        try:
            with open(path, errors="replace") as file:
                before = path.stat()
                text = file.read(_LARGEST)
                after = path.stat()
        except FileNotFoundError:
            return ""
        still = before.st_mtime_ns == after.st_mtime_ns and before.st_size == after.st_size
        if still and abs(time.time() - after.st_mtime) > _SETTLED:
            break
        time.sleep(_SETTLED)
    return text
