"""The border to the network: the engine says which interfaces a container has, a performer plugged in makes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from insula.engine.interfacespec import Address, Interface, Route
from insula.engine.linkchange import LinkChange, LinkSnapshot


class InterfaceKind(Enum):
    """What was made, and so what must become of it at the end."""

    VETH = "veth"
    MACVLAN = "macvlan"
    MOVED = "moved"


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectedInterface:
    """An interface that a running container has; survives JSON.

    guest: its name inside; host, host_index: the end on the host, empty and 0 where there is none; bridge: what that
    end is a port of; mac: the guest's; guest_index: inside, 0 where nobody asks; device: the device of the host that it
    stands on, or that it is.
    """

    guest: str
    host: str
    host_index: int
    bridge: str | None
    mac: str
    kind: InterfaceKind = InterfaceKind.VETH
    guest_index: int = 0
    device: str | None = None


class InterfacePerformer(Protocol):
    """Makes and removes the interfaces of one container. Coroutines that never suspend: the SDK drives them by hand."""

    async def connect(
        self, interfaces: Sequence[Interface], *, netns_pid: int, netlink: int
    ) -> tuple[ConnectedInterface, ...]:
        """Switch lo on, and make and configure the interfaces, all or none.

        netns_pid: a process in the container's network namespace; netlink: a NETLINK_ROUTE socket opened inside it,
        which the caller closes afterwards: an open one keeps the namespace alive.
        Raises: OperationFailedError naming the interface.
        """
        ...

    async def disconnect(self, connected: Sequence[ConnectedInterface]) -> None:
        """Take away, or back, the interfaces that are left of a container that has ended. May be called again."""
        ...

    async def look_at_link(self, name: str, change: LinkChange, *, network: int) -> LinkSnapshot:
        """Return a link of a running guest as it is, with all that a change may take from it.

        network: an open file of the guest's network namespace, here and below.
        Raises: OperationInvalidError if there is none of that name, or if it has what is to be added;
        OperationUnsupportedError if too much would have to be put back; OperationFailedError.
        """
        ...

    async def change_link(
        self,
        former: LinkSnapshot,
        change: LinkChange,
        addresses: Sequence[Address],
        routes: Sequence[Route],
        *,
        network: int,
    ) -> None:
        """Make a link different; part of it is done when this raises.

        addresses, routes: what a link that is switched on has lost while it was off.
        Raises: OperationFailedError naming the link, and what the kernel refused.
        """
        ...

    async def restore_link(self, former: LinkSnapshot, change: LinkChange, *, network: int) -> None:
        """Make a link what it was before a change that is done, in part, or not at all. May be called again.

        A link that is gone is fine. Raises: OperationFailedError.
        """
        ...
