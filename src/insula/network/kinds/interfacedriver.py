"""The plug point of kinds of interfaces: one class a kind, listed in `registry`."""

import os
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from insula.engine.interfaceperformer import ConnectedInterface, InterfaceKind
from insula.engine.interfacespec import Interface
from insula.network.links import add_address, add_route, switch
from insula.network.openvswitch import OpenVSwitch
from insula.network.portguard import NoGuard, PortGuard
from insula.network.rtnetlink import Rtnetlink

NO_GUARD = NoGuard()
HOST_SWITCH = OpenVSwitch()
Wanted = TypeVar("Wanted", bound=Interface)


@dataclass(frozen=True, kw_only=True, slots=True)
class Networks:
    """The host's network and a guest's, while one is connected to the other.

    guest: where the guest's links come into being, by `links.of_process` or `of_namespace`; here: an open file of the
    host's network namespace; path: leads to the guest's; undo: what takes back what was done, should something after it
    fail; leaving: indices of links that are about to go; guard: who filters what goes through ports; switch: the host's
    Open vSwitch.
    """

    host: Rtnetlink
    inside: Rtnetlink
    guest: bytes
    here: int
    path: str
    undo: ExitStack
    leaving: Collection[int]
    guard: PortGuard = NO_GUARD
    switch: OpenVSwitch = HOST_SWITCH

    @contextmanager
    def opened(self) -> Iterator[int]:
        """Open the guest's network namespace. Raises: OSError."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


class InterfaceDriver(Protocol, Generic[Wanted]):
    """One kind. needs_inside: whether its end needs the guest's network, which is kept open for that."""

    kind: InterfaceKind
    needs_inside: bool

    def identified(self, wanted: Wanted, networks: Networks) -> Wanted:
        """Return what is wanted with the MAC address by which it is known again. Raises: OSError."""
        ...

    def make(self, wanted: Wanted, networks: Networks) -> ConnectedInterface:
        """Make and configure the interface. Raises: OSError that says what, and networks.undo takes back the rest."""
        ...

    def unplug(self, connected: ConnectedInterface, networks: Networks) -> None:
        """Take it away, or back, from a guest that runs; one that is gone is fine. Raises: OSError."""
        ...

    def withdraw(self, wanted: Wanted, networks: Networks) -> None:
        """Take back what `make` may have left in a guest that runs when its process died. Raises: OSError."""
        ...

    def change(self, connected: ConnectedInterface, former: Wanted, wanted: Wanted, networks: Networks) -> None:
        """Make what an interface of a guest that runs is plugged into be what wanted says. May be called again.

        former: what it was, or may have become in part.

        Raises: OSError, with EOPNOTSUPP for what cannot become different while it is plugged in.
        """
        ...

    def is_there(self, connected: ConnectedInterface, networks: Networks) -> bool:
        """Whether a guest that runs still has it. Raises: OSError."""
        ...

    def end(self, connected: ConnectedInterface, host: Rtnetlink, inside: Rtnetlink | None, here: int) -> None:
        """Take it away, or back, after the guest has ended. Waits for the kernel; may be called again.

        inside: the guest's network if this daemon has kept it. Raises: OSError.
        """
        ...


def configure(inside: Rtnetlink, index: int, wanted: Interface, *, up: bool = True) -> None:
    """Give an interface its addresses, and if it is switched on, its routes."""
    inside.perform(*(add_address(index, each) for each in wanted.addresses))
    if up:
        inside.perform(switch(index, up=True), *(add_route(index, each) for each in wanted.routes))


def configure_again(inside: Rtnetlink, index: int, wanted: Interface) -> None:
    """Switch an interface on or off that has been configured: on, it has the addresses and routes that went with it."""
    if not wanted.up:
        inside.perform(switch(index, up=False))
        return
    inside.perform(switch(index, up=True))
    for request in (
        *(add_address(index, each) for each in wanted.addresses),
        *(add_route(index, each) for each in wanted.routes),
    ):
        with suppress(FileExistsError):
            inside.perform(request)
