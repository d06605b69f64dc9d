"""What can stand as a name in DNS, and in the files of a DNS server: RFC 1035, and underscores, which records have."""

import re

NAME_LENGTH_MAX = 253

_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*\Z")
_SERVICE = re.compile(r"[A-Za-z0-9_-]{1,63}\Z")
_LEASE_ORDER = re.compile(r"(ignore|infinite|[0-9]+[wdhms]?)\Z", re.IGNORECASE)
_PROTOCOL = re.compile(r"[A-Za-z0-9]{1,16}\Z")


def is_dns_name(text: str) -> bool:
    """Whether text is a name: labels of ASCII letters, digits, hyphens and underscores, and perhaps a dot at the end.

    Nothing else: what is written into files of dnsmasq has no character that means something there.
    """
    return len(text) <= NAME_LENGTH_MAX and bool(_NAME.match(text.removesuffix(".")))


def is_service_name(text: str) -> bool:
    """Whether text can be the service of an SRV record."""
    return bool(_SERVICE.match(text))


def is_protocol_name(text: str) -> bool:
    """Whether text can be the protocol of an SRV record, without the underscore that is put before it."""
    return bool(_PROTOCOL.match(text))


def is_lease_order(text: str) -> bool:
    """Whether dnsmasq takes text, where a host of DHCP is named, for "give it nothing", or for how long a lease lasts.

    Source: dnsmasq(8), "--dhcp-host".
    """
    return bool(_LEASE_ORDER.match(text))
