from ipaddress import IPv4Address, ip_address

import pytest

from insula.conversion.amounts import (
    default_route,
    is_default,
    read_address,
    read_limit,
    read_nanoseconds,
    read_rlimit,
    read_size,
)
from insula.model.interfaces import AddressFamily, InterfaceRoute
from insula.model.scalars import UNLIMITED


@pytest.mark.parametrize(
    ("text", "size"),
    [("512", 512), ("512M", 512 << 20), ("1.5G", 3 << 29), ("64KiB", 65536), ("2 GB", 2 << 30), ("1k", 1024)],
)
def test_sizes_are_powers_of_1024(text: str, size: int) -> None:
    assert read_size(text) == size


@pytest.mark.parametrize("text", ["", "M", "-1", "1X", "1.2.3", "99999999999E", "0x10", "١"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        read_size(text)


@pytest.mark.parametrize("text", ["max", "unlimited", "infinity", "-1", "9223372036854771712"])
def test_no_limit_has_many_spellings(text: str) -> None:
    assert read_limit(text) is None


@pytest.mark.parametrize(
    ("text", "time"), [("1h", 3600 * 10**9), ("-30m", -1800 * 10**9), ("5", 5 * 10**9), ("7ns", 7)]
)
def test_times_have_units(text: str, time: int) -> None:
    assert read_nanoseconds(text) == time


def test_resource_limits_are_one_bound_or_two() -> None:
    assert read_rlimit("1024") == (None, 1024)
    assert read_rlimit("1024:unlimited") == (1024, UNLIMITED)
    with pytest.raises(ValueError):  # noqa: PT011
        read_rlimit("many")


def test_an_address_keeps_whether_it_had_a_prefix() -> None:
    assert read_address("192.0.2.7/24").prefix == 24
    plain = read_address("2001:db8::7")
    assert (plain.prefix, plain.family) == (None, AddressFamily.IPV6)
    for text in ("192.0.2.7/33", "fe80::1%eth0", "", "host"):
        with pytest.raises(ValueError):  # noqa: PT011
            read_address(text)


def test_a_default_route_leads_everywhere() -> None:
    for text in ("192.0.2.1", "2001:db8::1"):
        assert is_default(default_route(ip_address(text)))
    other = InterfaceRoute(gateway=IPv4Address("192.0.2.1"), address=IPv4Address("10.0.0.0"), prefix=8)
    assert not is_default(other)
