"""Guests' ends on a bridge; tests/system/test_networks_mended.py and test_floors.py have the kernel's side."""

import pytest

from insula.engine.interfacespec import BridgePort, PortVlans
from insula.network.links import Link
from insula.network.rtnetlink import Rtnetlink
from insula.network.virtual import guestends
from insula.network.virtual.guestends import GuestEnd, plug_in, settle_floors
from tests.unit.network.kinds.conversation import Conversation, a_link

MAC, GONE = "52:54:00:00:00:01", "52:54:00:00:00:02"


def end(floor: int | None = None) -> GuestEnd:
    return GuestEnd(mac=MAC, port=BridgePort(isolated=True, vlans=PortVlans(native=42), floor=floor))


def test_only_what_is_no_port_of_the_bridge_is_made_one(monkeypatch: pytest.MonkeyPatch) -> None:
    host, told = Conversation(), list[str]()
    monkeypatch.setattr(guestends, "link", lambda kernel, name: a_link(name) if name == "vnet0" else None)
    plug_in(host.socket, {"vnet0": end(), "vnet1": end()}, 9, told.append)
    assert told == ["the guest's end vnet0 was put back on it"]
    assert "what the port may do" in host.asked


def test_floors_that_are_missing_come_back_and_those_of_nobody_go(monkeypatch: pytest.MonkeyPatch) -> None:
    there, told = {GONE: 5}, list[str]()

    def set_aside(kernel: Rtnetlink, index: int, mac: str, floor: int) -> None:
        if floor == 666:
            raise OSError(122, "would overcommit")
        there[mac] = floor

    def links(kernel: Rtnetlink) -> list[Link]:
        return [a_link("vnet0", mac="fe:54:00:00:00:01")]

    monkeypatch.setattr(guestends, "floors", lambda kernel, bridge: dict(there))
    monkeypatch.setattr(guestends, "set_aside", set_aside)
    monkeypatch.setattr(guestends, "set_aside_no_more", lambda kernel, bridge, mac: there.pop(mac))
    monkeypatch.setattr(guestends, "all_links", links)
    socket = Conversation().socket
    settle_floors(socket, {"vnet0": end(7)}, 9, told.append)
    assert there == {MAC: 7}
    assert told == [
        f"the floor of the guest's card {MAC} was set aside again",
        f"what was set aside for the card {GONE}, which is gone, was given back",
    ]
    settle_floors(socket, {"vnet0": end(7)}, 9, told.append)
    assert len(told) == 2
    settle_floors(socket, {"vnet0": end(666)}, 9, told.append)
    assert told[2:] == [f"nothing is set aside for the guest's card {MAC}: would overcommit"]
