"""A pair of interfaces, one end in the guest, the other a port of a bridge of the host.

The pair is created by one message with its guest end already in its place and under its final name, so there is no
moment at which it could be seen, renamed or lost on the host.
"""

import errno
from contextlib import suppress
from dataclasses import replace

from insula.engine.interfaceperformer import ConnectedInterface, InterfaceKind
from insula.engine.interfacespec import VethInterface
from insula.network.kinds.interfacedriver import Networks, configure
from insula.network.kinds.portsettings import PLAIN, no_floor, release_floor, set_port
from insula.network.kinds.routedends import answer_no_more, neighbours_of, route_to_guest
from insula.network.links import (
    Link,
    PeerNamespace,
    Veth,
    all_links,
    create_veth,
    delete_link,
    link,
    rename_down,
    set_master,
    switch,
)
from insula.network.macs import host_side_mac, random_mac
from insula.network.rtnetlink import Rtnetlink

HOST_NAMES = "vnet%d"
"""libvirt's names for the host's ends; the kernel puts in the first free number, so two launches never race."""
_DYING_NAMES = "dying%d"


class VethKind:
    """Makes `VethInterface`s. Their ends need nothing of the guest's network: the host's end takes the pair along."""

    kind = InterfaceKind.VETH
    needs_inside = False

    def identified(self, wanted: VethInterface, networks: Networks) -> VethInterface:
        return wanted if wanted.mac is not None else replace(wanted, mac=random_mac())

    def make(self, wanted: VethInterface, networks: Networks) -> ConnectedInterface:
        bridge = _bridge(networks.host, wanted)
        mac = wanted.mac or random_mac()
        at_once = wanted.bridge is None and wanted.port == PLAIN
        veth = Veth(
            host=wanted.host or HOST_NAMES,
            host_mac=host_side_mac(mac),
            guest=wanted.guest,
            guest_mac=mac,
            place=networks.guest,
            mtu=wanted.mtu or (bridge.mtu if bridge else None),
            master=bridge.index if bridge else None,
            up=wanted.up and at_once,
        )
        _create(veth, networks)
        guest_end = link(networks.inside, wanted.guest)
        if guest_end is None or guest_end.link is None:
            raise OSError(errno.ENODEV, "it vanished as soon as it was made")
        host_end = _host_end(networks.host, guest_end.link, mac)
        if host_end is None:
            raise OSError(errno.ENODEV, "its end on the host vanished as soon as it was made")
        networks.undo.callback(_remove, networks.host, host_end.index)
        if wanted.port.protection is not None:
            networks.undo.callback(networks.guard.release, host_end.name)
        if wanted.port.floor is not None:
            networks.undo.callback(no_floor, networks.host, wanted.bridge, mac)
        if not at_once:
            set_port(networks, host_end, mac, wanted)
        if not at_once and wanted.switch is None:
            networks.host.perform(switch(host_end.index, up=wanted.up))
        proxied = route_to_guest(networks, host_end, wanted) if wanted.routed is not None else ()
        configure(networks.inside, guest_end.index, wanted, up=wanted.guest_up)
        return ConnectedInterface(
            guest=wanted.guest,
            host=host_end.name,
            host_index=host_end.index,
            bridge=wanted.bridge,
            mac=mac,
            protected=wanted.port.protection is not None,
            proxied=proxied,
            switched=wanted.switch is not None,
            floored=wanted.port.floor is not None,
        )

    def unplug(self, connected: ConnectedInterface, networks: Networks) -> None:
        """Remove the pair by the host's end, whatever the guest has made of its own."""
        if _host_end(networks.host, connected.host_index, connected.mac) is not None:
            _remove(networks.host, connected.host_index)
        answer_no_more(networks.host, connected.proxied)
        release_floor(networks.host, connected)
        if connected.switched:
            networks.switch.remove(connected.host)

    def withdraw(self, wanted: VethInterface, networks: Networks) -> None:
        assert wanted.mac is not None
        for each in all_links(networks.host):
            if each.kind == "veth" and each.mac == host_side_mac(wanted.mac):
                if wanted.switch is not None:
                    networks.switch.remove(each.name)
                _remove(networks.host, each.index)
        if wanted.port.floor is not None:
            no_floor(networks.host, wanted.bridge, wanted.mac)
        if wanted.routed is not None:
            answer_no_more(networks.host, neighbours_of(networks.host, wanted))

    def change(
        self, connected: ConnectedInterface, former: VethInterface, wanted: VethInterface, networks: Networks
    ) -> None:
        """Put the host's end into another bridge, or switch it on or off: what is a port of nothing is a guest's."""
        bridge = _bridge(networks.host, wanted)
        host_end = _host_end(networks.host, connected.host_index, connected.mac)
        if host_end is None:
            raise OSError(errno.ENODEV, f"its end on the host, {connected.host}, is gone")
        master = bridge.index if bridge else None
        if (former.switch is None) != (wanted.switch is None):
            raise OSError(errno.EOPNOTSUPP, "it is a port of the same kind of switch as long as it is plugged in")
        usual = former.port.vlans is not None and wanted.port.vlans is None and wanted.switch is None
        if usual:
            networks.host.perform(set_master(host_end.index, None))  # what the bridge gives its ports is its own
        if wanted.switch is not None and wanted.bridge is not None:
            if (former.bridge, former.switch) != (wanted.bridge, wanted.switch):
                networks.switch.add(wanted.bridge, host_end.name, connected.mac, wanted.switch, wanted.port.vlans)
            elif former.port.vlans != wanted.port.vlans:
                networks.switch.retag(host_end.name, wanted.port.vlans)
        elif usual or host_end.master != master:
            networks.host.perform(set_master(host_end.index, master))
        if former.port.floor is not None and former.bridge != wanted.bridge:
            no_floor(networks.host, former.bridge, connected.mac)
        set_port(networks, host_end, connected.mac, wanted, former=former.port)
        if host_end.up != wanted.up:
            networks.host.perform(switch(host_end.index, up=wanted.up))

    def is_there(self, connected: ConnectedInterface, networks: Networks) -> bool:
        return _host_end(networks.host, connected.host_index, connected.mac) is not None

    def end(self, connected: ConnectedInterface, host: Rtnetlink, inside: Rtnetlink | None, here: int) -> None:
        """Remove the pair unless it is gone, or going with the guest's namespace."""
        found = link(host, connected.host_index)
        if found and found.mac == host_side_mac(connected.mac) and found.peer is not PeerNamespace.DYING:
            _remove(host, connected.host_index)
        answer_no_more(host, connected.proxied)
        release_floor(host, connected)


def _bridge(host: Rtnetlink, wanted: VethInterface) -> Link | None:
    """Return the kernel's bridge that is wanted. Its MTU is a guest's default: a smaller port would pull that down."""
    name = wanted.bridge
    if name is None or wanted.switch is not None:
        return None
    found = link(host, name)
    if found is None:
        raise OSError(errno.ENODEV, f"there is no bridge '{name}' on the host; create it, or name another")
    if found.kind != "bridge":
        raise OSError(errno.EINVAL, f"'{name}' is no bridge but {found.kind or 'a network card'}")
    return found


def _create(veth: Veth, networks: Networks) -> None:
    """Make the pair; a name on the host that a guest which has just ended still holds is taken from it."""
    try:
        networks.host.perform(create_veth(veth))
    except FileExistsError as error:
        holder = link(networks.host, veth.host)
        if holder is None and link(networks.inside, veth.guest) is not None:
            raise OSError(errno.EEXIST, f"the guest has an interface '{veth.guest}' already") from error
        if holder is not None:
            if holder.peer is not PeerNamespace.DYING and holder.index not in networks.leaving:
                raise OSError(errno.EEXIST, f"the host has an interface '{veth.host}' already") from error
            with suppress(OSError):  # the kernel may be done with it by now
                networks.host.perform(rename_down(holder.index, _DYING_NAMES))
        networks.host.perform(create_veth(veth))


def _host_end(host: Rtnetlink, index: int, mac: str) -> Link | None:
    """Return the host's end of a guest's pair, None if it is gone: a guest that runs could name us another's index.

    mac: of the guest's end as it was made, which the guest may have changed.
    """
    found = link(host, index)
    return found if found and found.kind == "veth" and found.mac == host_side_mac(mac) else None


def _remove(host: Rtnetlink, index: int) -> None:
    try:
        host.perform(delete_link(index))
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise
