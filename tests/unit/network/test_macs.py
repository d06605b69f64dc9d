"""MAC addresses that are made up."""

import re

import pytest

from insula.errors import InternalError
from insula.model.scalars import read_mac_address
from insula.network.macs import GUEST_PREFIX, host_side_mac, random_mac


def test_a_made_up_address_has_libvirts_prefix_and_is_one_the_model_reads() -> None:
    mac = random_mac()
    assert mac.startswith(GUEST_PREFIX + ":")
    assert read_mac_address(mac) == mac


def test_addresses_differ() -> None:
    assert len({random_mac() for _ in range(50)}) > 45


class AllButOne:
    """Every address is taken but those that end in a digit."""

    def __contains__(self, mac: object) -> bool:
        return not re.search(r"[0-9]$", str(mac))


def test_a_taken_address_is_not_given_again() -> None:
    assert random_mac(AllButOne())[-1].isdigit()


class All:
    def __contains__(self, mac: object) -> bool:
        return True


def test_it_does_not_search_for_ever() -> None:
    with pytest.raises(InternalError, match="all taken"):
        random_mac(All())


def test_the_hosts_end_has_the_highest_address_so_that_a_bridge_never_takes_it() -> None:
    assert host_side_mac("52:54:00:12:34:56") == "fe:54:00:12:34:56"
