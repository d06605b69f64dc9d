"""Looking into a guest's network; what needs root is in tests/system/test_network.py."""

import pytest

from insula.engine.interfacespec import Address
from insula.network.guestinterfaces import GuestInterface, guest_interfaces, with_addresses
from tests.descriptors import open_fds

PID_NOBODY_HAS = 2**22 + 1
"""Above the largest pid Linux gives (PID_MAX_LIMIT)."""


def test_a_process_that_is_gone_is_told() -> None:
    with pytest.raises(FileNotFoundError):
        guest_interfaces(PID_NOBODY_HAS)


def test_of_a_share_only_its_own_addresses_are_told() -> None:
    def interface(name: str, *addresses: str) -> GuestInterface:
        given = tuple(Address(address=each, prefix=24) for each in addresses)
        return GuestInterface(name=name, mac="", up=True, loopback=False, addresses=given)

    hosts = [interface("lo", "127.0.0.1"), interface("eth0", "192.0.2.1", "192.0.2.7", "2001:db8::7")]
    assert with_addresses(hosts, ("192.0.2.7", "2001:db8:0::7")) == [interface("eth0", "192.0.2.7", "2001:db8::7")]


def test_nothing_stays_open_after_a_failure() -> None:
    before = open_fds()
    with pytest.raises(FileNotFoundError):
        guest_interfaces(PID_NOBODY_HAS)
    assert open_fds() == before
