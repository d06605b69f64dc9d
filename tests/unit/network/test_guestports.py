"""Putting guests' ends back, as far as there are none; tests/system/test_vanished_bridges.py has real ones."""

from insula.engine.interfacespec import BridgePort
from insula.network.guestports import GuestPorts


def test_ends_that_are_gone_are_neither_loose_nor_refused() -> None:
    assert GuestPorts().unplugged(["nosuch0"]) == frozenset()
    assert GuestPorts().plug("nosuch1", {"nosuch0": BridgePort()}) == {}
