"""An interface of the guest's own on top of a device of the host."""

import errno
from contextlib import suppress

from insula.engine.interfaceperformer import ConnectedInterface, InterfaceKind
from insula.engine.interfacespec import MacvlanInterface, MacvlanMode
from insula.network.kinds.interfacedriver import Networks, configure
from insula.network.links import Macvlan, create_macvlan, delete_link, link
from insula.network.macs import random_mac
from insula.network.rtnetlink import Rtnetlink

_MODES = {
    MacvlanMode.PRIVATE: 1,
    MacvlanMode.VEPA: 2,
    MacvlanMode.BRIDGE: 4,
    MacvlanMode.PASSTHROUGH: 8,
}
"""Source: MACVLAN_MODE_… in linux/if_link.h."""


class MacvlanKind:
    """Makes `MacvlanInterface`s."""

    kind = InterfaceKind.MACVLAN
    needs_inside = True

    def make(self, wanted: MacvlanInterface, networks: Networks) -> ConnectedInterface:
        device = link(networks.host, wanted.device)
        if device is None:
            raise OSError(errno.ENODEV, f"the host has no network device '{wanted.device}'")
        mac = wanted.mac or random_mac()
        macvlan = Macvlan(
            device=device.index,
            mode=_MODES[wanted.mode],
            guest=wanted.guest,
            guest_mac=mac,
            guest_pid=networks.guest_pid,
            mtu=wanted.mtu,
        )
        try:
            networks.host.perform(create_macvlan(macvlan))
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            # The kernel says no more.
            raise OSError(
                errno.EINVAL,
                f"the host's device '{wanted.device}' takes no macvlan of mode '{wanted.mode}': one of mode "
                f"'{MacvlanMode.PASSTHROUGH}' must be the only one on a device, and loopback takes none",
            ) from error
        made = link(networks.inside, wanted.guest)
        if made is None:
            raise OSError(errno.ENODEV, "it vanished as soon as it was made")
        networks.undo.callback(networks.inside.perform, delete_link(made.index))
        if wanted.up and not device.up:
            raise OSError(errno.ENETDOWN, f"the host's device '{wanted.device}' is switched off: switch it on")
        configure(networks.inside, made.index, wanted, up=wanted.up)
        return ConnectedInterface(
            guest=wanted.guest,
            host="",
            host_index=0,
            bridge=None,
            mac=mac,
            kind=self.kind,
            guest_index=made.index,
            device=wanted.device,
        )

    def end(self, connected: ConnectedInterface, host: Rtnetlink, inside: Rtnetlink | None, here: int) -> None:
        """Remove it, since its device may be for one guest alone; without us it goes with the guest's namespace."""
        if inside is not None:
            with suppress(OSError):  # the guest has removed it
                inside.perform(delete_link(connected.guest_index))
