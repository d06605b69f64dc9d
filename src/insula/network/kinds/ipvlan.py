"""An interface of the guest's own on top of a device of the host, whose MAC address all of them have.

Source: kernel documents on ipvlan, linux/if_link.h (IFLA_IPVLAN_MODE).
"""

import errno
import struct

from insula.engine.interfaceperformer import ConnectedInterface, InterfaceKind
from insula.engine.interfacespec import IpvlanInterface, IpvlanLayer
from insula.network.kinds.stacked import StackedKind
from insula.network.linkattributes import LINK, LinkAttribute, LinkInfoAttribute
from insula.network.links import Link
from insula.network.rtnetlink import MessageType, NetlinkFlag, NetlinkRequest, attribute, number, text

_MODE = 1
"""IFLA_IPVLAN_MODE, a number of 16 bits."""
_MODES = {IpvlanLayer.L2: 0, IpvlanLayer.L3: 1, IpvlanLayer.L3S: 2}


class IpvlanKind(StackedKind[IpvlanInterface]):
    """Makes `IpvlanInterface`s."""

    kind = InterfaceKind.IPVLAN
    link_kind = "ipvlan"

    def creation(self, wanted: IpvlanInterface, name: str, device: Link, place: bytes, mac: str) -> NetlinkRequest:
        body = LINK.pack(0, 0, 0, 0, 0) + text(LinkAttribute.NAME, name) + place
        body += number(LinkAttribute.LINK, device.index)
        if wanted.mtu is not None:
            body += number(LinkAttribute.MTU, wanted.mtu)
        data = attribute(_MODE, struct.pack("=H", _MODES[wanted.layer]))
        information = text(LinkInfoAttribute.KIND, self.link_kind) + attribute(LinkInfoAttribute.DATA, data)
        return NetlinkRequest(
            message=MessageType.NEW_LINK,
            flags=NetlinkFlag.CREATE | NetlinkFlag.EXCLUSIVE,
            body=body + attribute(LinkAttribute.INFO, information),
            what=f"ipvlan {name}",
        )

    def refusal(self, error: OSError, wanted: IpvlanInterface) -> str | None:
        if error.errno == errno.EOPNOTSUPP:
            return "this host's kernel has no ipvlan"
        if error.errno not in (errno.EINVAL, errno.EBUSY):
            return None
        return (
            f"the host's device '{wanted.device}' takes no ipvlan: loopback and bridges' ports do not, nor do "
            "devices with macvlans"
        )

    def is_elsewhere(self, connected: ConnectedInterface, former: IpvlanInterface, wanted: IpvlanInterface) -> bool:
        return (wanted.device, wanted.layer) != (former.device, former.layer)
