"""A network device of the host that is the guest's while it runs, and comes back afterwards under its old name.

The guest's network is kept open for that. When it ends while no daemon has it open, the kernel takes hardware back to
the host by itself, maybe under another name, which is put right when the end is cleared up; a device made of software
only (a bridge, a tap) it destroys with the namespace.
"""

import errno
import logging
from dataclasses import replace

from insula.engine.interfaceperformer import ConnectedInterface, InterfaceKind
from insula.engine.interfacespec import MovedInterface
from insula.network.kinds.interfacedriver import Networks, configure, configure_again
from insula.network.links import Link, all_links, link, move, of_namespace, rename_down, set_mtu
from insula.network.rtnetlink import Rtnetlink
from insula.network.virtual.bridges import set_mac

_log = logging.getLogger(__name__)


class MovedKind:
    """Makes `MovedInterface`s."""

    kind = InterfaceKind.MOVED
    needs_inside = True

    def identified(self, wanted: MovedInterface, networks: Networks) -> MovedInterface:
        return replace(wanted, device_mac=_device(networks.host, wanted.device).mac)

    def make(self, wanted: MovedInterface, networks: Networks) -> ConnectedInterface:
        device = _device(networks.host, wanted.device)
        if link(networks.inside, wanted.guest) is not None:
            raise OSError(errno.EEXIST, f"the guest has an interface '{wanted.guest}' already")
        networks.host.perform(move(device.index, networks.guest, wanted.guest))
        moved = link(networks.inside, wanted.guest)
        if moved is None:
            raise OSError(errno.ENODEV, "it vanished as soon as it was moved")
        mac, mtu = wanted.mac or moved.mac, wanted.mtu or moved.mtu
        back = move(moved.index, of_namespace(networks.here), wanted.device)
        networks.undo.callback(_as_before, networks.host, wanted.device, moved.mac, moved.mtu)
        networks.undo.callback(networks.inside.perform, back)
        if mac != moved.mac:
            networks.inside.perform(set_mac(moved.index, mac))
        if mtu != moved.mtu:
            networks.inside.perform(set_mtu(moved.index, mtu))
        configure(networks.inside, moved.index, wanted, up=wanted.up)
        return ConnectedInterface(
            guest=wanted.guest,
            host="",
            host_index=0,
            bridge=None,
            mac=mac,
            kind=self.kind,
            guest_index=moved.index,
            device=wanted.device,
            device_mac=moved.mac if mac != moved.mac else None,
            device_mtu=moved.mtu if mtu != moved.mtu else None,
        )

    def unplug(self, connected: ConnectedInterface, networks: Networks) -> None:
        self.end(connected, networks.host, networks.inside, networks.here)

    def withdraw(self, wanted: MovedInterface, networks: Networks) -> None:
        """Take it back if the host has it no more; it is known by the address that it had there."""
        if link(networks.host, wanted.device) is not None:
            return
        found = link(networks.inside, wanted.guest)
        if found is not None and found.mac in (wanted.mac, wanted.device_mac):
            networks.inside.perform(move(found.index, of_namespace(networks.here), wanted.device))
            _as_before(networks.host, wanted.device, wanted.device_mac, found.mtu)

    def change(
        self, connected: ConnectedInterface, former: MovedInterface, wanted: MovedInterface, networks: Networks
    ) -> None:
        """Switch it on or off: a device of the host is what it is."""
        found = link(networks.inside, connected.guest_index)
        if found is None:
            raise OSError(errno.ENODEV, "the guest has removed it")
        if wanted.device != connected.device:
            raise OSError(errno.EOPNOTSUPP, f"it is the host's '{connected.device}' as long as it is plugged in")
        if found.up != wanted.up:
            configure_again(networks.inside, found.index, wanted)

    def is_there(self, connected: ConnectedInterface, networks: Networks) -> bool:
        return link(networks.inside, connected.guest_index) is not None

    def end(self, connected: ConnectedInterface, host: Rtnetlink, inside: Rtnetlink | None, here: int) -> None:
        """Take it back. A name that somebody else has by now is not fought for: it comes under one that is free."""
        assert connected.device is not None
        if inside is None:
            _rename_what_came_back(connected, host)
            _as_before(host, connected.device, connected.device_mac, connected.device_mtu)
        elif link(inside, connected.guest_index) is not None:
            free = connected.device if link(host, connected.device) is None else "back%d"
            inside.perform(move(connected.guest_index, of_namespace(here), free))
            _as_before(host, connected.device, connected.device_mac, connected.device_mtu)
            if free != connected.device:
                _log.warning("the host has another '%s' by now: the device of that name is 'back…'", connected.device)


def _device(host: Rtnetlink, name: str) -> Link:
    device = link(host, name)
    if device is None:
        raise OSError(errno.ENODEV, f"the host has no network device '{name}'")
    if device.loopback:
        raise OSError(errno.EINVAL, "the host's loopback cannot be moved")
    return device


def _as_before(host: Rtnetlink, name: str, mac: str | None, mtu: int | None) -> None:
    """Give a device that has come home what it had on the host; None for what it kept."""
    found = link(host, name)
    if found is None or found.up:
        return
    if mac not in (None, found.mac):
        assert mac is not None
        host.perform(set_mac(found.index, mac))
    if mtu not in (None, found.mtu):
        assert mtu is not None
        host.perform(set_mtu(found.index, mtu))


def _rename_what_came_back(connected: ConnectedInterface, host: Rtnetlink) -> None:
    assert connected.device is not None
    if link(host, connected.device) is not None:
        return
    for each in all_links(host):
        if each.mac == connected.mac and not each.kind and not each.loopback:
            host.perform(rename_down(each.index, connected.device))
            return
    _log.warning("the network device '%s' that a guest had has not come back", connected.device)
