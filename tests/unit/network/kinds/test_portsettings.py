"""What a port is given in which order; tests/system/test_guest_ports.py has the kernel's side."""

from contextlib import ExitStack

import pytest

from insula.engine.interfacespec import BridgePort, PortProtection, PortVlans, VethInterface
from insula.network.firewall.portrules import PortRules
from insula.network.kinds import portsettings
from insula.network.kinds.interfacedriver import Networks
from insula.network.kinds.portsettings import port_rules, set_port
from tests.unit.network.kinds.conversation import Conversation, a_link

MAC = "52:54:00:00:00:01"
CLEAN = PortProtection(filter="clean-traffic")
FLAGS = "what the port may do"


class Guard:
    """Tells what it is asked for in the same list as the kernel."""

    def __init__(self, host: Conversation) -> None:
        self.host = host

    def protect(self, *ports: PortRules) -> None:
        self.host.asked += (f"protect {each.host}" for each in ports)

    def release(self, *hosts: str) -> None:
        self.host.asked += (f"release {each}" for each in hosts)


def asked(port: BridgePort, former: BridgePort = portsettings.PLAIN, bridge: str | None = "br0") -> list[str]:
    host = Conversation()
    with ExitStack() as undo:
        networks = Networks(
            host=host.socket, inside=host.socket, guest=b"", here=9, path="", undo=undo, leaving=(), guard=Guard(host)
        )
        card = VethInterface(guest="eth0", bridge=bridge, mac=MAC, port=port)
        set_port(networks, a_link("vnet0"), MAC, card, former=former)
    return host.asked


@pytest.mark.parametrize(
    ("port", "former", "steps"),
    [
        (BridgePort(), BridgePort(isolated=True), [FLAGS]),
        (BridgePort(protection=CLEAN, isolated=True), BridgePort(), ["protect vnet0", FLAGS]),
        (BridgePort(), BridgePort(protection=CLEAN), ["release vnet0", FLAGS]),
    ],
)
def test_protection_comes_first_and_what_is_no_longer_wanted_goes(
    port: BridgePort, former: BridgePort, steps: list[str]
) -> None:
    assert asked(port, former) == steps


@pytest.mark.parametrize("port", [BridgePort(isolated=True), BridgePort(vlans=PortVlans(native=7))])
def test_what_only_a_bridge_has_is_refused_without_one(port: BridgePort) -> None:
    with pytest.raises(OSError, match="of a bridge's ports"):
        asked(port, bridge=None)


def test_vlans_need_a_bridge_that_tells_them_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portsettings, "bridge_named", lambda kernel, name: None)
    with pytest.raises(OSError, match="'br0' does not tell VLANs apart"):
        asked(BridgePort(vlans=PortVlans(native=7)))


def test_a_ports_rules_know_the_guests_addresses() -> None:
    card = VethInterface(guest="eth0", port=BridgePort(protection=CLEAN))
    assert port_rules("vnet0", MAC, card) == PortRules(host="vnet0", mac=MAC, protection=CLEAN)
