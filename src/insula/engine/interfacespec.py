"""A container's network, before anything happens: which kind it has, and which interfaces are in it.

Part of the spec (`engine.spec`): names and numbers that survive JSON.
"""

from dataclasses import dataclass
from enum import Enum


class NetworkKind(Enum):
    """Whose network a container has."""

    PRIVATE = "private"
    """A network namespace of its own, with whatever interfaces are given, and loopback."""
    HOST = "host"
    """The host's own: only on explicit request."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """An address with prefix length, such as 10.0.0.2/24."""

    address: str
    prefix: int
    peer: str | None = None

    def __str__(self) -> str:
        return f"{self.address}/{self.prefix}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """destination/prefix by gateway; an unset destination is the default route."""

    gateway: str | None
    destination: str | None = None
    prefix: int = 0
    metric: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class VethInterface:
    """A pair of interfaces, one end in the guest, the other on the host, enslaved to bridge if given.

    guest: name inside; host: name outside, None to choose a free `vnetN`; mac: of the guest's end; up: whether the
    host's end is switched on, as a cable is plugged in; guest_up: whether the guest's is.
    """

    guest: str
    host: str | None = None
    bridge: str | None = None
    mac: str | None = None
    mtu: int | None = None
    up: bool = True
    addresses: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()
    guest_up: bool = True

    def __str__(self) -> str:
        text = f"{self.guest} to {self.bridge or 'nothing'}"
        return " with ".join((text, " and ".join(str(each) for each in self.addresses))) if self.addresses else text


class MacvlanMode(Enum):
    """Which frames pass between macvlans of one device. Source: ip-link(8)."""

    PRIVATE = "private"
    VEPA = "vepa"
    BRIDGE = "bridge"
    PASSTHROUGH = "passthrough"
    """The device is this guest's alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MacvlanInterface:
    """An interface of the guest's own on top of a device of the host; there is no end of it on the host.

    device: the host's; guest: name inside; up: whether it is switched on from the start.
    """

    guest: str
    device: str
    mode: MacvlanMode = MacvlanMode.VEPA
    mac: str | None = None
    mtu: int | None = None
    up: bool = True
    addresses: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()

    def __str__(self) -> str:
        return f"{self.guest} to {self.device} by macvlan"


@dataclass(frozen=True, kw_only=True, slots=True)
class MovedInterface:
    """A network device of the host that is the guest's while it runs.

    device: its name on the host; guest: inside; up: whether it is switched on from the start.
    """

    guest: str
    device: str
    addresses: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()
    up: bool = True

    def __str__(self) -> str:
        return f"{self.guest}, the host's {self.device}"


Interface = VethInterface | MacvlanInterface | MovedInterface
