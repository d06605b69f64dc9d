"""A pair of interfaces, one end in the guest, the other a port of a bridge of the host.

The pair is created by one message with its guest end already in its place and under its final name, so there is no
moment at which it could be seen, renamed or lost on the host.
"""

import errno
from contextlib import suppress

from insula.engine.interfaceperformer import ConnectedInterface, InterfaceKind
from insula.engine.interfacespec import VethInterface
from insula.network.kinds.interfacedriver import Networks, configure
from insula.network.links import Link, PeerNamespace, Veth, create_veth, delete_link, link, rename_down
from insula.network.macs import host_side_mac, random_mac
from insula.network.rtnetlink import Rtnetlink

HOST_NAMES = "vnet%d"
"""libvirt's names for the host's ends; the kernel puts in the first free number, so two launches never race."""
_DYING_NAMES = "dying%d"


class VethKind:
    """Makes `VethInterface`s. Their ends need nothing of the guest's network: the host's end takes the pair along."""

    kind = InterfaceKind.VETH
    needs_inside = False

    def make(self, wanted: VethInterface, networks: Networks) -> ConnectedInterface:
        bridge = _bridge(networks.host, wanted.bridge)
        mac = wanted.mac or random_mac()
        veth = Veth(
            host=wanted.host or HOST_NAMES,
            host_mac=host_side_mac(mac),
            guest=wanted.guest,
            guest_mac=mac,
            guest_pid=networks.guest_pid,
            mtu=wanted.mtu or (bridge.mtu if bridge else None),
            master=bridge.index if bridge else None,
            up=wanted.up,
        )
        _create(veth, networks)
        guest_end = link(networks.inside, wanted.guest)
        if guest_end is None or guest_end.link is None:
            raise OSError(errno.ENODEV, "it vanished as soon as it was made")
        networks.undo.callback(_remove, networks.host, guest_end.link)
        configure(networks.inside, guest_end.index, wanted, up=wanted.guest_up)
        return ConnectedInterface(
            guest=wanted.guest,
            host=wanted.host or _name(networks.host, guest_end.link),
            host_index=guest_end.link,
            bridge=wanted.bridge,
            mac=mac,
        )

    def end(self, connected: ConnectedInterface, host: Rtnetlink, inside: Rtnetlink | None, here: int) -> None:
        """Remove the pair unless it is gone, or going with the guest's namespace."""
        found = link(host, connected.host_index)
        if found and found.mac == host_side_mac(connected.mac) and found.peer is not PeerNamespace.DYING:
            _remove(host, connected.host_index)


def _bridge(host: Rtnetlink, name: str | None) -> Link | None:
    """Return the bridge of that name. Its MTU is a guest's default: a smaller port would pull the bridge's down."""
    if name is None:
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


def _name(host: Rtnetlink, index: int) -> str:
    found = link(host, index)
    if found is None:
        raise OSError(errno.ENODEV, "its end on the host vanished as soon as it was made")
    return found.name


def _remove(host: Rtnetlink, index: int) -> None:
    try:
        host.perform(delete_link(index))
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise
