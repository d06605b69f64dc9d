"""The border to the network: the engine says which interfaces a container has, a performer plugged in makes them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from insula.engine.interfacespec import Address, Interface, Route, UserHelper
from insula.engine.linkchange import LinkChange, LinkSnapshot
from insula.kernel.processidentity import ProcessIdentity


class InterfaceKind(Enum):
    """What was made, and so what must become of it at the end."""

    VETH = "veth"
    MACVLAN = "macvlan"
    MOVED = "moved"
    IPVLAN = "ipvlan"
    USER = "user"


@dataclass(frozen=True, kw_only=True, slots=True)
class InterfaceHelper:
    """The process that carries an interface's traffic. launch: of the guest, by which it is found without its pid."""

    program: UserHelper
    process: ProcessIdentity
    launch: str


@dataclass(frozen=True, kw_only=True, slots=True)
class HelperPlace:
    """Where helpers of a guest's interfaces begin. launch: by which all of them are found again; enter: puts a process,
    by its pid, into the control group that is theirs; it raises OSError."""

    launch: str
    enter: Callable[[int], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectedInterface:
    """An interface that a running container has; survives JSON.

    guest: its name inside; host, host_index: the end on the host, empty and 0 where there is none; bridge: what that
    end is a port of; mac: the guest's; guest_index: inside, 0 where nobody asks; device: the device of the host that it
    stands on, or that it is; protected: whether somebody filters what goes through it; proxied: addresses that the host
    answers for, each with its interface that does; switched: whether its bridge is of Open vSwitch; device_mac,
    device_mtu: of a device that has others inside; floored: whether its bridge sets a rate aside for it; helper: who
    carries its traffic.
    """

    guest: str
    host: str
    host_index: int
    bridge: str | None
    mac: str
    kind: InterfaceKind = InterfaceKind.VETH
    guest_index: int = 0
    device: str | None = None
    protected: bool = False
    proxied: tuple[tuple[str, str], ...] = ()
    switched: bool = False
    device_mac: str | None = None
    device_mtu: int | None = None
    floored: bool = False
    helper: InterfaceHelper | None = None

    def __str__(self) -> str:
        return self.guest


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

    def join(
        self, made: Sequence[tuple[ConnectedInterface, Interface]], place: HelperPlace, *, network: int
    ) -> tuple[ConnectedInterface, ...]:
        """Let what `connect` made be ports of switches that take their time, and have helpers begun, all or none.

        Return what was made, as it is now. Blocks. network: an open file of the guest's network namespace.
        Raises: OperationFailedError naming the interface.
        """
        ...

    async def disconnect(self, connected: Sequence[ConnectedInterface]) -> None:
        """Take away, or back, the interfaces that are left of a container that has ended. May be called again."""
        ...

    def identified(self, interface: Interface, *, network: int) -> Interface:
        """Return an interface with the MAC address by which it is known: its own, a new one, or a device's.

        Raises: OperationFailedError if it cannot be plugged in: the guest has one of that name, or the host none.
        """
        ...

    def plug(self, interface: Interface, place: HelperPlace, *, network: int) -> ConnectedInterface:
        """Make and configure one more interface of a guest that runs, or nothing. Blocks, as those below do.

        interface: as `identified` returned it.
        Raises: OperationFailedError naming the interface.
        """
        ...

    def unplug(self, connected: ConnectedInterface, *, network: int) -> None:
        """Take an interface away from a guest that runs, or back; one that is gone is fine.

        Raises: OperationFailedError, and it is still there.
        """
        ...

    def withdraw(self, interface: Interface, launch: str, *, network: int) -> None:
        """Take back what may be there of an interface whose maker died while it was plugged in. May be called again.

        launch: the guest's, as in `HelperPlace`.
        Raises: OperationFailedError.
        """
        ...

    def change_port(self, connected: ConnectedInterface, former: Interface, wanted: Interface, *, network: int) -> None:
        """Make what an interface of a guest that runs is plugged into be what wanted says. May be called again.

        former: what it was, or may have become in part. Its name, MAC address, addresses and routes inside stay.
        Raises: OperationUnsupportedError for what cannot become different while it is plugged in; OperationFailedError,
        and a part of it is done.
        """
        ...

    def adopt(self, plugged: Sequence[tuple[ConnectedInterface, Interface]], *, network: int) -> None:
        """Take over what a daemon before has plugged in: what needs the guest's network at its end, what is filtered.

        Raises: OperationFailedError, or what the filter's maker raises.
        """
        ...

    def revive(
        self, connected: ConnectedInterface, interface: Interface, place: HelperPlace, *, network: int
    ) -> ConnectedInterface:
        """Begin an interface's helper anew, which has ended; return the interface as it is now.

        Raises: OperationInvalidError if the guest has removed the interface; OperationFailedError naming it.
        """
        ...

    def end_helpers(self, launch: str) -> None:
        """End what helpers there are of a launch's interfaces, known or not. May be called again; any thread may.

        Raises: OperationFailedError if one does not end.
        """
        ...

    def gone(self, connected: Sequence[ConnectedInterface], *, network: int) -> tuple[ConnectedInterface, ...]:
        """Return those that a guest that runs has not any more. Raises: OperationFailedError."""
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
