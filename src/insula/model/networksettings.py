"""What libvirt has no words for in a network: `<insula:network>` in its `<metadata>`, which is other people's too."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from insula.model.scalars import PORT, IpAddress
from insula.model.xmlmap import Attribute, Element, Mapped


class TransportProtocol(StrEnum):
    TCP = "tcp"
    UDP = "udp"
    SCTP = "sctp"


@dataclass(frozen=True, kw_only=True, slots=True)
class PortForward(Mapped):
    """`<insula:forward>`: what comes to these ports of the host goes to a guest of the network.

    address: the host's that is meant, device: that of the host where it comes in, None any; end: the last of several
    ports, None only start; to: the guest's address; to_start: the first of the guest's ports, None the host's.
    """

    protocol: Annotated[TransportProtocol, Attribute("protocol")] = TransportProtocol.TCP
    address: Annotated[IpAddress | None, Attribute("address")] = None
    device: Annotated[str | None, Attribute("dev")] = None
    start: Annotated[int, Attribute("start", within=PORT)]
    end: Annotated[int | None, Attribute("end", within=PORT)] = None
    to: Annotated[IpAddress, Attribute("to")]
    to_start: Annotated[int | None, Attribute("tostart", within=PORT)] = None

    @property
    def last(self) -> int:
        """The last port."""
        return self.start if self.end is None else self.end


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkSettings(Mapped):
    """`<insula:network>`: our settings of a network."""

    port_forwards: Annotated[tuple[PortForward, ...], Element("insula:forward")] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkMetadata(Mapped):
    """`<metadata>`: our settings, and other people's elements kept beside them."""

    settings: Annotated[NetworkSettings | None, Element("insula:network")] = None
