"""What is written down of a network that is made, and what is told of one.

The service writes a record down before anything is made, and again whenever the performer returns a new one. A record
that was announced only and one of a network that runs are taken back by the same walk (`NetworkPerformer.stop`), so
that it does not matter where a daemon died.
"""

from dataclasses import dataclass

from insula.engine import codec
from insula.kernel.processidentity import ProcessIdentity


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkRecord:
    """All there is, or may be, of one network on the host; survives JSON.

    bridge: the name of its bridge, None for networks that plug guests into devices of the host; made: whether that
    bridge is of our making (and goes with the network); mac: the bridge's, by which it is known until it bears our
    mark; index: the kernel's number of it, None until it is made; rules: whether the firewall has rules for it;
    dnsmasq: who serves names and addresses, None where there is nobody or nobody yet.
    """

    name: str
    uuid: str
    bridge: str | None = None
    made: bool = False
    mac: str | None = None
    index: int | None = None
    rules: bool = False
    serves: bool = False
    """Whether a dnsmasq belongs to it."""
    dnsmasq: ProcessIdentity | None = None

    def to_json(self) -> codec.Json:
        return codec.encode(self)

    @classmethod
    def from_json(cls, data: codec.Json) -> "NetworkRecord":
        """Raises: ValueError, KeyError or TypeError for anything to_json never wrote."""
        return codec.decode(cls, data)


@dataclass(frozen=True, kw_only=True, slots=True)
class Lease:
    """An address that dnsmasq has given a guest.

    prefix: bits of the network's; expiry: seconds since 1970, 0 for one that does not end; client: the client's id
    (IPv4) or DUID (IPv6), in hexadecimal with colons; iaid: IPv6's association, as libvirt writes it; hostname: what
    the guest called itself or was called. mac is None where an IPv6 client is known by its DUID alone. version: 4 or 6.
    """

    address: str
    prefix: int
    version: int
    expiry: int
    mac: str | None = None
    hostname: str | None = None
    client: str | None = None
    iaid: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class GuestName:
    """What a running guest is called on a network. mac: of its card there; addresses: those it was given by hand."""

    name: str
    mac: str | None = None
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Settled:
    """What became of a network that was looked at: its record now, and what was mended, in words for the log."""

    record: NetworkRecord
    mended: tuple[str, ...] = ()
