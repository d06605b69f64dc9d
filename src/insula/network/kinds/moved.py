"""A network device of the host that is the guest's while it runs, and comes back afterwards under its old name.

The guest's network is kept open for that. When it ends while no daemon has it open, the kernel takes hardware back to
the host by itself, maybe under another name, which is put right when the end is cleared up; a device made of software
only (a bridge, a tap) it destroys with the namespace.
"""

import errno
import logging

from insula.engine.interfaceperformer import ConnectedInterface, InterfaceKind
from insula.engine.interfacespec import MovedInterface
from insula.network.kinds.interfacedriver import Networks, configure
from insula.network.links import all_links, link, move_to_namespace, move_to_process, rename_down
from insula.network.rtnetlink import Rtnetlink

_log = logging.getLogger(__name__)


class MovedKind:
    """Makes `MovedInterface`s."""

    kind = InterfaceKind.MOVED
    needs_inside = True

    def make(self, wanted: MovedInterface, networks: Networks) -> ConnectedInterface:
        device = link(networks.host, wanted.device)
        if device is None:
            raise OSError(errno.ENODEV, f"the host has no network device '{wanted.device}'")
        if device.loopback:
            raise OSError(errno.EINVAL, "the host's loopback cannot be moved")
        if link(networks.inside, wanted.guest) is not None:
            raise OSError(errno.EEXIST, f"the guest has an interface '{wanted.guest}' already")
        networks.host.perform(move_to_process(device.index, networks.guest_pid, wanted.guest))
        moved = link(networks.inside, wanted.guest)
        if moved is None:
            raise OSError(errno.ENODEV, "it vanished as soon as it was moved")
        back = move_to_namespace(moved.index, networks.here, wanted.device)
        networks.undo.callback(networks.inside.perform, back)
        configure(networks.inside, moved.index, wanted, up=wanted.up)
        return ConnectedInterface(
            guest=wanted.guest,
            host="",
            host_index=0,
            bridge=None,
            mac=moved.mac,
            kind=self.kind,
            guest_index=moved.index,
            device=wanted.device,
        )

    def end(self, connected: ConnectedInterface, host: Rtnetlink, inside: Rtnetlink | None, here: int) -> None:
        """Take it back. A name that somebody else has by now is not fought for: it comes under one that is free."""
        assert connected.device is not None
        if inside is None:
            _rename_what_came_back(connected, host)
        elif link(inside, connected.guest_index) is not None:
            free = connected.device if link(host, connected.device) is None else "back%d"
            inside.perform(move_to_namespace(connected.guest_index, here, free))
            if free != connected.device:
                _log.warning("the host has another '%s' by now: the device of that name is 'back…'", connected.device)


def _rename_what_came_back(connected: ConnectedInterface, host: Rtnetlink) -> None:
    assert connected.device is not None
    if link(host, connected.device) is not None:
        return
    for each in all_links(host):
        if each.mac == connected.mac and not each.kind and not each.loopback:
            host.perform(rename_down(each.index, connected.device))
            return
    _log.warning("the network device '%s' that a guest had has not come back", connected.device)
