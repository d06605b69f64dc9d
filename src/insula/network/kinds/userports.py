"""A tap in the guest whose traffic a helper carries by sockets of its own: no end on the host, no right there.

The tap is made persistent, so that the guest's addresses and routes outlive a helper; the helper itself is begun by
`network.usermode.cardhelper`, where nobody waits for a loop.
"""

import errno
from dataclasses import replace

from insula.engine.interfaceperformer import ConnectedInterface, InterfaceKind
from insula.engine.interfacespec import UserInterface
from insula.network.guestinterfaces import done_in
from insula.network.kinds.interfacedriver import Networks, configure
from insula.network.links import Link, delete_link, link, set_carrier, set_mtu
from insula.network.macs import random_mac
from insula.network.rtnetlink import Rtnetlink
from insula.network.usermode.helperprocess import end_helpers, helper_name
from insula.network.usermode.helperwords import MTU
from insula.network.usermode.persistenttap import create_persistent_tap
from insula.network.usermode.usersubnets import routes_outwards, subnet_problems
from insula.network.virtual.bridges import set_mac


class UserKind:
    """Makes `UserInterface`s, without their helpers."""

    kind = InterfaceKind.USER
    needs_inside = False

    def identified(self, wanted: UserInterface, networks: Networks) -> UserInterface:
        return wanted if wanted.mac is not None else replace(wanted, mac=random_mac())

    def make(self, wanted: UserInterface, networks: Networks) -> ConnectedInterface:
        if problems := "; ".join(subnet_problems(wanted)):
            raise OSError(errno.EINVAL, problems)
        with networks.opened() as network:
            done_in(network, lambda: create_persistent_tap(wanted.guest))
        tap = link(networks.inside, wanted.guest)
        if tap is None:
            raise OSError(errno.ENODEV, "it vanished as soon as it was made")
        networks.undo.callback(networks.inside.perform, delete_link(tap.index))
        mac = wanted.mac or random_mac()
        networks.inside.perform(set_mac(tap.index, mac), set_mtu(tap.index, wanted.mtu or MTU))
        configure(networks.inside, tap.index, replace(wanted, routes=(*wanted.routes, *routes_outwards(wanted))))
        return ConnectedInterface(
            guest=wanted.guest,
            host="",
            host_index=0,
            bridge=None,
            mac=mac,
            kind=self.kind,
            guest_index=tap.index,
            device=wanted.device,
        )

    def unplug(self, connected: ConnectedInterface, networks: Networks) -> None:
        if connected.helper is not None:
            end_helpers(helper_name(connected.helper.launch, connected.mac))
        if self.is_there(connected, networks):
            networks.inside.perform(delete_link(connected.guest_index))

    def withdraw(self, wanted: UserInterface, networks: Networks) -> None:
        """Remove the tap; its helper ends with `end_helpers`, as nobody knows here whose it is."""
        found = link(networks.inside, wanted.guest)
        if found is not None and found.kind == "tun" and found.mac == wanted.mac:
            networks.inside.perform(delete_link(found.index))

    def change(
        self, connected: ConnectedInterface, former: UserInterface, wanted: UserInterface, networks: Networks
    ) -> None:
        """Take its carrier, or give it back: the rest its helper was told when it began."""
        tap = tap_of(connected, networks.inside)
        networks.inside.perform(set_carrier(tap.index, on=wanted.up))

    def is_there(self, connected: ConnectedInterface, networks: Networks) -> bool:
        found = link(networks.inside, connected.guest_index)
        return found is not None and found.kind == "tun"

    def end(self, connected: ConnectedInterface, host: Rtnetlink, inside: Rtnetlink | None, here: int) -> None:
        """End its helper: it holds the guest's network, and the tap goes with that."""
        if connected.helper is not None:
            end_helpers(helper_name(connected.helper.launch, connected.mac))


def tap_of(connected: ConnectedInterface, inside: Rtnetlink) -> Link:
    """Return a card's tap, whatever the guest calls it by now. Raises: OSError(ENODEV) if the guest has removed it."""
    found = link(inside, connected.guest_index)
    if found is None or found.kind != "tun":
        raise OSError(errno.ENODEV, f"the guest has removed '{connected.guest}'")
    return found
