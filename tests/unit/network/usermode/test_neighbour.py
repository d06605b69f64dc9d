"""An advertisement of an address, which the link's other end gets."""

from ipaddress import IPv6Address

import pytest

from insula.kernel.process import CloneFlag, unshare
from insula.network.usermode.neighbour import advertise
from tests.unit.engine.steps.inchild import in_child


@pytest.mark.requires("root")
def test_an_address_that_a_link_has_not_cannot_be_advertised() -> None:
    def tell() -> str:
        unshare(CloneFlag.NEWNET)
        try:
            advertise(IPv6Address("fd00::15"), "52:54:00:00:00:01", 1)
        except OSError as error:
            return str(error.strerror)
        return "told"

    assert in_child(tell) == "Cannot assign requested address"
