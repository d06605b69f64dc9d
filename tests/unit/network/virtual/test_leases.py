"""Leases, as dnsmasq's file has them."""

from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula.network.virtual.leases import parse_leases, read_lease_file
from insula.network.virtual.networkrecord import Lease

SUBNETS = (IPv4Interface("192.168.122.1/24"), IPv6Interface("fd00:122::1/64"))
FILE = """1796047230 52:54:00:00:00:09 192.168.122.9 * *
1796047231 52:54:00:00:00:07 192.168.122.7 web 01:52:54:00:00:00:07
duid 00:01:00:01:32:a0:2f:eb:d6:0f:61:08:1a:90
1796047232 11200 fd00:122::7 web 00:01:00:01:32:a0:2f:eb:52:54:00:00:00:07
0 T5 fd00:122::8 * 00:03:00:01:52:54:00:00:00:08
"""


def test_both_families_are_told_in_the_order_of_their_addresses() -> None:
    assert parse_leases(FILE, SUBNETS, now=1_796_000_000) == (
        Lease(
            address="192.168.122.7",
            prefix=24,
            version=4,
            expiry=1796047231,
            mac="52:54:00:00:00:07",
            hostname="web",
            client="01:52:54:00:00:00:07",
        ),
        Lease(address="192.168.122.9", prefix=24, version=4, expiry=1796047230, mac="52:54:00:00:00:09"),
        Lease(
            address="fd00:122::7",
            prefix=64,
            version=6,
            expiry=1796047232,
            mac="52:54:00:00:00:07",
            hostname="web",
            client="00:01:00:01:32:a0:2f:eb:52:54:00:00:00:07",
            iaid="11200",
        ),
        Lease(
            address="fd00:122::8",
            prefix=64,
            version=6,
            expiry=0,
            mac="52:54:00:00:00:08",
            client="00:03:00:01:52:54:00:00:00:08",
            iaid="5",
        ),
    )


def test_what_has_ended_is_not_told_and_what_never_ends_is() -> None:
    left = parse_leases(FILE, SUBNETS, now=1_796_047_231)
    assert [each.address for each in left] == ["fd00:122::7", "fd00:122::8"]


@given(st.text())
def test_nonsense_counts_for_nothing(text: str) -> None:
    assert isinstance(parse_leases(text, SUBNETS, now=0), tuple)


def test_lines_that_are_cut_short_count_for_nothing() -> None:
    assert parse_leases(FILE[:30], SUBNETS, now=0) == ()


def test_a_file_that_is_not_there_has_no_leases(tmp_path: Path) -> None:
    assert read_lease_file(tmp_path / "none") == ""
    (tmp_path / "some").write_text(FILE)
    assert read_lease_file(tmp_path / "some") == FILE


@pytest.mark.parametrize("expiry", ["-5", "253402300800", "9" * 30])
def test_a_lease_until_no_date_that_can_be_shown_counts_for_nothing(expiry: str) -> None:
    """The file is dnsmasq's, which what guests send may have taken over."""
    assert parse_leases(f"{expiry} 52:54:00:00:00:01 10.0.0.1 web *", (), 1.0) == ()
