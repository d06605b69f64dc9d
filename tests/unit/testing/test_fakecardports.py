"""Guests' ends in memory behave as real ones do."""

from insula.engine.interfacespec import BridgePort
from insula.network.guestports import RefusedPort
from insula.testing.fakecardports import FakeCardPorts


def test_only_loose_ends_are_plugged_and_only_into_what_is_there() -> None:
    ports = FakeCardPorts(loose={"vnet0"}, bridges=set())
    wanted = {"vnet0": BridgePort(), "vnet1": BridgePort()}
    assert ports.plug("br0", wanted) == {"vnet0": RefusedPort(reason="the host has no bridge 'br0'")}
    ports.bridges = {"br0"}
    assert ports.plug("br0", wanted) == {}
    assert ports.plugged == {"vnet0": ("br0", BridgePort())}
    assert ports.unplugged(wanted) == frozenset()


def test_what_is_refused_stays_loose() -> None:
    ports = FakeCardPorts(loose={"vnet0"}, refused={"vnet0": RefusedPort(reason="it is busy", tried=True)})
    assert ports.plug("br0", {"vnet0": BridgePort()}) == ports.refused
    assert ports.unplugged(["vnet0"]) == {"vnet0"}
