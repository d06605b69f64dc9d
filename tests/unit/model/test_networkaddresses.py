from ipaddress import ip_address, ip_interface

import pytest

from insula.model.interfaces import AddressFamily
from insula.model.networkaddresses import LeaseTime, NetworkIp, TimeUnit


@pytest.mark.parametrize(
    ("expiry", "unit", "seconds"),
    [(2, None, 120), (90, TimeUnit.SECONDS, 90), (1, TimeUnit.HOURS, 3600), (0, None, None)],
)
def test_a_lease_counts_minutes_unless_it_says_else_and_nought_is_for_ever(
    expiry: int, unit: TimeUnit | None, seconds: int | None
) -> None:
    assert LeaseTime(expiry=expiry, unit=unit).seconds == seconds


@pytest.mark.parametrize(
    ("address", "netmask", "prefix", "interface"),
    [
        ("192.168.122.1", "255.255.255.0", None, "192.168.122.1/24"),
        ("10.1.0.1", None, 16, "10.1.0.1/16"),
        ("10.1.0.1", None, None, "10.1.0.1/8"),
        ("192.0.2.1", None, None, "192.0.2.1/24"),
        ("2001:db8::1", None, None, "2001:db8::1/64"),
    ],
)
def test_a_subnet_is_told_by_netmask_or_prefix_or_by_the_addresss_class(
    address: str, netmask: str | None, prefix: int | None, interface: str
) -> None:
    mask = None if netmask is None else ip_address(netmask)
    assert NetworkIp(address=ip_address(address), netmask=mask, prefix=prefix).interface == ip_interface(interface)


def test_without_an_address_there_is_no_subnet() -> None:
    assert NetworkIp().interface is None
    assert NetworkIp().effective_family is AddressFamily.IPV4
    assert NetworkIp(family=AddressFamily.IPV6).effective_family is AddressFamily.IPV6
    assert NetworkIp(address=ip_address("::1")).effective_family is AddressFamily.IPV6
