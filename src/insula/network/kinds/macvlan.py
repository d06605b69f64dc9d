"""An interface of the guest's own on top of a device of the host."""

import errno

from insula.engine.interfaceperformer import ConnectedInterface, InterfaceKind
from insula.engine.interfacespec import MacvlanInterface, MacvlanMode
from insula.network.kinds.interfacedriver import Networks
from insula.network.kinds.stacked import StackedKind
from insula.network.links import Link, Macvlan, create_macvlan
from insula.network.rtnetlink import NetlinkRequest

_MODES = {
    MacvlanMode.PRIVATE: 1,
    MacvlanMode.VEPA: 2,
    MacvlanMode.BRIDGE: 4,
    MacvlanMode.PASSTHROUGH: 8,
}
"""Source: MACVLAN_MODE_… in linux/if_link.h."""


class MacvlanKind(StackedKind[MacvlanInterface]):
    """Makes `MacvlanInterface`s."""

    kind = InterfaceKind.MACVLAN
    link_kind = "macvlan"

    def creation(self, wanted: MacvlanInterface, name: str, device: Link, place: bytes, mac: str) -> NetlinkRequest:
        return create_macvlan(
            Macvlan(
                device=device.index, mode=_MODES[wanted.mode], guest=name, guest_mac=mac, place=place, mtu=wanted.mtu
            )
        )

    def refusal(self, error: OSError, wanted: MacvlanInterface) -> str | None:
        if error.errno not in (errno.EINVAL, errno.EBUSY):  # the kernel says no more
            return None
        return (
            f"the host's device '{wanted.device}' takes no macvlan of mode '{wanted.mode.value}': one of mode "
            f"'{MacvlanMode.PASSTHROUGH.value}' must be the only one on a device, and loopback, bridges' ports and "
            "devices with ipvlans take none"
        )

    def require(self, wanted: MacvlanInterface, device: Link) -> None:
        if wanted.up and not device.up:
            raise OSError(errno.ENETDOWN, f"the host's device '{wanted.device}' is switched off: switch it on")

    def is_elsewhere(self, connected: ConnectedInterface, former: MacvlanInterface, wanted: MacvlanInterface) -> bool:
        return wanted.device != connected.device

    def left(self, networks: Networks, name: str, mac: str) -> Link | None:
        """See `StackedKind`; one with another MAC address is the guest's own."""
        found = super().left(networks, name, mac)
        return found if found is not None and found.mac == mac else None
