"""The border to the network: the engine says which interfaces a container has, a performer plugged in makes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from insula.engine.spec import VethInterface


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectedInterface:
    """An interface that was made for a running container; survives JSON.

    guest: its name inside; host, host_index: the end on the host; bridge: what that end is a port of; mac: the guest's.
    """

    guest: str
    host: str
    host_index: int
    bridge: str | None
    mac: str


class InterfacePerformer(Protocol):
    """Makes and removes the interfaces of one container. Coroutines that never suspend: the SDK drives them by hand."""

    async def connect(
        self, interfaces: Sequence[VethInterface], *, netns_pid: int, netlink: int
    ) -> tuple[ConnectedInterface, ...]:
        """Switch lo on, and make and configure the interfaces, all or none.

        netns_pid: a process in the container's network namespace; netlink: a NETLINK_ROUTE socket opened inside it,
        which the caller closes afterwards: an open one keeps the namespace alive.
        Raises: OperationFailedError naming the interface.
        """
        ...

    async def disconnect(self, connected: Sequence[ConnectedInterface]) -> None:
        """Remove the interfaces that are still there, after the container has ended. May be called again."""
        ...
