"""An interface of the guest's own on top of a device of the host, whose MAC address all of them have.

Source: kernel documents on ipvlan, linux/if_link.h (IFLA_IPVLAN_MODE).
"""

import errno
import struct
from dataclasses import replace

from insula.engine.interfaceperformer import ConnectedInterface, InterfaceKind
from insula.engine.interfacespec import IpvlanInterface, IpvlanLayer
from insula.network.kinds.interfacedriver import Networks, configure, configure_again
from insula.network.kinds.stacked import StackedKind
from insula.network.linkattributes import LINK, LinkAttribute, LinkInfoAttribute
from insula.network.links import delete_link, link
from insula.network.macs import random_mac
from insula.network.rtnetlink import MessageType, NetlinkFlag, NetlinkRequest, attribute, number, text

_MODE = 1
"""IFLA_IPVLAN_MODE, a number of 16 bits."""
_MODES = {IpvlanLayer.L2: 0, IpvlanLayer.L3: 1, IpvlanLayer.L3S: 2}


def create_ipvlan(wanted: IpvlanInterface, device: int, place: bytes) -> NetlinkRequest:
    """Return the request that makes it in its place and under its final name, switched off. device: an index."""
    body = LINK.pack(0, 0, 0, 0, 0) + text(LinkAttribute.NAME, wanted.guest) + place
    body += number(LinkAttribute.LINK, device)
    if wanted.mtu is not None:
        body += number(LinkAttribute.MTU, wanted.mtu)
    data = attribute(_MODE, struct.pack("=H", _MODES[wanted.layer]))
    information = text(LinkInfoAttribute.KIND, IpvlanKind.link_kind) + attribute(LinkInfoAttribute.DATA, data)
    return NetlinkRequest(
        message=MessageType.NEW_LINK,
        flags=NetlinkFlag.CREATE | NetlinkFlag.EXCLUSIVE,
        body=body + attribute(LinkAttribute.INFO, information),
        what=f"ipvlan {wanted.guest}",
    )


class IpvlanKind(StackedKind):
    """Makes `IpvlanInterface`s."""

    kind = InterfaceKind.IPVLAN
    link_kind = "ipvlan"

    def identified(self, wanted: IpvlanInterface, networks: Networks) -> IpvlanInterface:
        return wanted if wanted.mac is not None else replace(wanted, mac=random_mac())

    def make(self, wanted: IpvlanInterface, networks: Networks) -> ConnectedInterface:
        device = link(networks.host, wanted.device)
        if device is None:
            raise OSError(errno.ENODEV, f"the host has no network device '{wanted.device}'")

        mac = wanted.mac or random_mac()

        def under(name: str) -> NetlinkRequest:
            return create_ipvlan(replace(wanted, guest=name), device.index, networks.guest)

        try:
            made = self.created(networks, wanted.guest, mac, under)
        except OSError as error:
            if error.errno == errno.EOPNOTSUPP:
                raise OSError(errno.EOPNOTSUPP, "this host's kernel has no ipvlan") from error
            if error.errno in (errno.EINVAL, errno.EBUSY):
                raise OSError(
                    error.errno,
                    f"the host's device '{wanted.device}' takes no ipvlan: loopback and bridges' ports do not, nor do "
                    "devices with macvlans",
                ) from error
            raise
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

    def withdraw(self, wanted: IpvlanInterface, networks: Networks) -> None:
        assert wanted.mac is not None
        found = self.left(networks, wanted.guest, wanted.mac)
        if found is not None:
            networks.inside.perform(delete_link(found.index))

    def change(
        self, connected: ConnectedInterface, former: IpvlanInterface, wanted: IpvlanInterface, networks: Networks
    ) -> None:
        """Switch it on or off: what it stands on, and how, is chosen once."""
        found = link(networks.inside, connected.guest_index)
        if found is None:
            raise OSError(errno.ENODEV, "the guest has removed it")
        if (wanted.device, wanted.layer) != (former.device, former.layer):
            raise OSError(errno.EOPNOTSUPP, f"it stands on '{connected.device}' as long as it is plugged in")
        if found.up != wanted.up:
            configure_again(networks.inside, found.index, wanted)
