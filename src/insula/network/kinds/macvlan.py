"""An interface of the guest's own on top of a device of the host."""

import errno
from dataclasses import replace

from insula.engine.interfaceperformer import ConnectedInterface, InterfaceKind
from insula.engine.interfacespec import MacvlanInterface, MacvlanMode
from insula.network.kinds.interfacedriver import Networks, configure, configure_again
from insula.network.kinds.stacked import StackedKind
from insula.network.links import Macvlan, create_macvlan, delete_link, link
from insula.network.macs import random_mac
from insula.network.rtnetlink import NetlinkRequest

_MODES = {
    MacvlanMode.PRIVATE: 1,
    MacvlanMode.VEPA: 2,
    MacvlanMode.BRIDGE: 4,
    MacvlanMode.PASSTHROUGH: 8,
}
"""Source: MACVLAN_MODE_… in linux/if_link.h."""


class MacvlanKind(StackedKind):
    """Makes `MacvlanInterface`s."""

    kind = InterfaceKind.MACVLAN
    link_kind = "macvlan"

    def identified(self, wanted: MacvlanInterface, networks: Networks) -> MacvlanInterface:
        return wanted if wanted.mac is not None else replace(wanted, mac=random_mac())

    def make(self, wanted: MacvlanInterface, networks: Networks) -> ConnectedInterface:
        device = link(networks.host, wanted.device)
        if device is None:
            raise OSError(errno.ENODEV, f"the host has no network device '{wanted.device}'")
        mac = wanted.mac or random_mac()

        def under(name: str) -> NetlinkRequest:
            return create_macvlan(
                Macvlan(
                    device=device.index,
                    mode=_MODES[wanted.mode],
                    guest=name,
                    guest_mac=mac,
                    place=networks.guest,
                    mtu=wanted.mtu,
                )
            )

        try:
            made = self.created(networks, wanted.guest, mac, under)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EBUSY):
                raise
            # The kernel says no more.
            raise OSError(
                error.errno,
                f"the host's device '{wanted.device}' takes no macvlan of mode '{wanted.mode}': one of mode "
                f"'{MacvlanMode.PASSTHROUGH}' must be the only one on a device, and loopback, bridges' ports and "
                "devices with ipvlans take none",
            ) from error
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

    def withdraw(self, wanted: MacvlanInterface, networks: Networks) -> None:
        assert wanted.mac is not None
        found = self.left(networks, wanted.guest, wanted.mac)
        if found is not None and found.mac == wanted.mac:
            networks.inside.perform(delete_link(found.index))

    def change(
        self, connected: ConnectedInterface, former: MacvlanInterface, wanted: MacvlanInterface, networks: Networks
    ) -> None:
        """Switch it on or off: what it stands on, and how, is chosen once."""
        found = link(networks.inside, connected.guest_index)
        if found is None:
            raise OSError(errno.ENODEV, "the guest has removed it")
        if wanted.device != connected.device:
            raise OSError(errno.EOPNOTSUPP, f"it stands on '{connected.device}' as long as it is plugged in")
        if found.up != wanted.up:
            configure_again(networks.inside, found.index, wanted)
