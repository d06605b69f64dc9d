"""How an interface is told in a plan: what it is in the guest, and what it leads to."""

import pytest

from insula.engine.interfacespec import Address, Interface, MacvlanInterface, MovedInterface, VethInterface


@pytest.mark.parametrize(
    ("interface", "told"),
    [
        (VethInterface(guest="eth0"), "eth0 to nothing"),
        (VethInterface(guest="eth0", bridge="br0"), "eth0 to br0"),
        (
            VethInterface(
                guest="eth0",
                bridge="br0",
                addresses=(Address(address="10.0.0.2", prefix=24), Address(address="fd00::2", prefix=64)),
            ),
            "eth0 to br0 with 10.0.0.2/24 and fd00::2/64",
        ),
        (MacvlanInterface(guest="eth0", device="enp1s0"), "eth0 to enp1s0 by macvlan"),
        (MovedInterface(guest="eth1", device="enp2s0"), "eth1, the host's enp2s0"),
    ],
)
def test_an_interface_is_told_by_its_name_inside_and_by_what_it_leads_to(interface: Interface, told: str) -> None:
    assert str(interface) == told
