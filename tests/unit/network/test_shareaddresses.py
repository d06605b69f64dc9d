"""Tests of insula.network.shareaddresses: which addresses the host has."""

import pytest

from insula.engine.interfacespec import Address, NetworkShare
from insula.errors import OperationFailedError, UnsupportedConfigError
from insula.network import shareaddresses
from insula.network.shareaddresses import refuse_absent_addresses


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> None:
    there = [(1, Address(address="127.0.0.1", prefix=8)), (2, Address(address="2001:db8::7", prefix=64))]
    monkeypatch.setattr(shareaddresses, "all_addresses", lambda kernel: there)


@pytest.mark.usefixtures("host")
def test_an_address_of_an_interface_is_taken_however_it_is_written() -> None:
    refuse_absent_addresses(NetworkShare(addresses=("2001:db8:0:0::7",)))


@pytest.mark.usefixtures("host")
def test_one_that_no_interface_has_is_refused_with_what_to_do() -> None:
    with pytest.raises(
        UnsupportedConfigError, match=r"no interface of the host has the address 192.0.2.7.*ip address add"
    ):
        refuse_absent_addresses(NetworkShare(addresses=("2001:db8::7", "192.0.2.7")))


def test_addresses_that_cannot_be_read_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(kernel: object) -> None:
        raise OSError(105, "No buffer space available")

    monkeypatch.setattr(shareaddresses, "all_addresses", fail)
    with pytest.raises(OperationFailedError, match="cannot be read: No buffer space available"):
        refuse_absent_addresses(NetworkShare(addresses=("192.0.2.7",)))
