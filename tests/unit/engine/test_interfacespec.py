"""How an interface is told in a plan: what it is in the guest, and what it leads to."""

import pytest

from insula.engine import codec
from insula.engine.interfacespec import (
    Address,
    BridgePort,
    Interface,
    IpvlanInterface,
    MacvlanInterface,
    MovedInterface,
    PortProtection,
    PortVlans,
    TrafficLimits,
    TrafficRate,
    VethInterface,
)


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
        (IpvlanInterface(guest="eth0", device="enp1s0"), "eth0 to enp1s0 by ipvlan"),
        (MovedInterface(guest="eth1", device="enp2s0"), "eth1, the host's enp2s0"),
    ],
)
def test_an_interface_is_told_by_its_name_inside_and_by_what_it_leads_to(interface: Interface, told: str) -> None:
    assert str(interface) == told


def test_a_port_survives_json() -> None:
    port = BridgePort(
        vlans=PortVlans(tagged=(10, 20), native=30),
        isolated=True,
        limits=TrafficLimits(inbound=TrafficRate(average=1000, peak=2000, burst=4096)),
        protection=PortProtection(filter="clean-traffic", parameters=(("IP", "192.0.2.7"),)),
    )
    card = VethInterface(guest="eth0", bridge="br0", port=port)
    assert codec.decode(VethInterface, codec.encode(card)) == card


def test_an_interface_of_a_version_without_ports_is_read_as_one_with_a_plain_port() -> None:
    assert codec.decode(VethInterface, {"guest": "eth0", "bridge": "br0"}).port == BridgePort()
    assert codec.encode(VethInterface(guest="eth0", bridge="br0")) == {"guest": "eth0", "bridge": "br0"}
