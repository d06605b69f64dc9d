"""Running guests' ends on a network's bridge, put back as they were: a port loses all it has with its bridge."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from insula.engine.interfacespec import BridgePort
from insula.network.bridgerate import floors, set_aside, set_aside_no_more
from insula.network.guestports import plug_port
from insula.network.links import all_links, link
from insula.network.macs import host_side_mac
from insula.network.rtnetlink import Rtnetlink

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class GuestEnd:
    """mac: of the guest's card; port: what its end on the host has beside its bridge."""

    mac: str
    port: BridgePort


def plug_in(kernel: Rtnetlink, ends: Mapping[str, GuestEnd], bridge: int, tell: Tell) -> None:
    """Make guests' ends ports of a bridge, wherever they are. ends: by their names; bridge: its index."""
    for name, end in ends.items():
        port = link(kernel, name)
        if port is not None and port.master != bridge:
            plug_port(kernel, port, bridge, end.port)
            tell(f"the guest's end {name} was put back on it")


def settle_floors(kernel: Rtnetlink, ends: Mapping[str, GuestEnd], bridge: int, tell: Tell) -> None:
    """Let a bridge set aside what these guests have a floor for, and nothing for a guest that is not there.

    A floor that does not fit any more is told, and no failure: its guest runs.
    """
    there = floors(kernel, bridge)
    for end in ends.values():
        if end.port.floor is None or there.get(end.mac.lower()) == end.port.floor:
            continue
        try:
            set_aside(kernel, bridge, end.mac, end.port.floor)
        except OSError as error:
            tell(f"nothing is set aside for the guest's card {end.mac}: {error.strerror}")
        else:
            tell(f"the floor of the guest's card {end.mac} was set aside again")
    # The end is made before its floor, so a floor seen above whose end is not there now is of one that went.
    left = there.keys() - {each.mac.lower() for each in ends.values()}
    macs = {each.mac for each in all_links(kernel)} if left else ()
    for mac in left:
        if host_side_mac(mac) not in macs:
            set_aside_no_more(kernel, bridge, mac)
            tell(f"what was set aside for the card {mac}, which is gone, was given back")
