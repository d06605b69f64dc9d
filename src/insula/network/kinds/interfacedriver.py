"""The plug point of kinds of interfaces: one class a kind, listed in `registry`."""

from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from insula.engine.interfaceperformer import ConnectedInterface, InterfaceKind
from insula.engine.interfacespec import Interface
from insula.network.links import add_address, add_route, switch
from insula.network.rtnetlink import Rtnetlink

Wanted = TypeVar("Wanted", bound=Interface, contravariant=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Networks:
    """The host's network and a guest's, while one is connected to the other.

    guest_pid: a process in the guest's network namespace; here: an open file of the host's; undo: what takes back what
    was done, should something after it fail; leaving: indices of links that are about to go.
    """

    host: Rtnetlink
    inside: Rtnetlink
    guest_pid: int
    here: int
    undo: ExitStack
    leaving: Collection[int]


class InterfaceDriver(Protocol, Generic[Wanted]):
    """One kind. needs_inside: whether its end needs the guest's network, which is kept open for that."""

    kind: InterfaceKind
    needs_inside: bool

    def make(self, wanted: Wanted, networks: Networks) -> ConnectedInterface:
        """Make and configure the interface. Raises: OSError that says what, and networks.undo takes back the rest."""
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
