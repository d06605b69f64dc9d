"""Steps that change the network of a guest that runs."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from insula.engine.interfaceperformer import ConnectedInterface, InterfacePerformer
from insula.engine.interfacespec import Address, Interface, Route
from insula.engine.launch.holdings import ControlGroup, FormerLink, FormerPort, HalfPlugged, Holding, Interfaces
from insula.engine.linkchange import LinkChange, LinkSnapshot
from insula.engine.steps.host.groups import group_of
from insula.engine.steps.host.helpergroups import helper_place
from insula.engine.steps.host.hoststep import HostContext, HostStep
from insula.errors import OperationFailedError


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeLink(HostStep):
    """Have the network's performer change a link inside the guest's network namespace.

    name: of the link; former: what it was; addresses, routes: what one that is switched on has lost while it was off.
    """

    phrase: ClassVar[str] = "change the guest's link {name}"

    name: str
    former: LinkSnapshot
    change: LinkChange
    addresses: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()

    def announce(self, identity: int) -> tuple[Holding, ...]:
        return (FormerLink(link=self.former, change=self.change),)

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        await performer_of(context).change_link(
            self.former, self.change, self.addresses, self.routes, network=context.network_namespace
        )
        return self.announce(context.identity)


@dataclass(frozen=True, kw_only=True, slots=True)
class PlugInterface(HostStep):
    """Have the network's performer give a guest that runs one more interface.

    interface: with a MAC address; helpers: the path of the group of its helper, if that is to be held from now on.
    """

    phrase: ClassVar[str] = "connect {interface}"

    interface: Interface
    helpers: str | None = None

    def announce(self, identity: int) -> tuple[Holding, ...]:
        return (*self._group(made=False), HalfPlugged(interface=self.interface))

    def _group(self, *, made: bool) -> tuple[Holding, ...]:
        return () if self.helpers is None else (ControlGroup(path=self.helpers, made=made),)

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        place = helper_place(group_of(context), context.launch)
        plug = partial(performer_of(context).plug, self.interface, place, network=context.network_namespace)
        connected = await context.offload(plug)
        return (*self._group(made=True), Interfaces(connected=(connected,)))


@dataclass(frozen=True, kw_only=True, slots=True)
class UnplugInterface(HostStep):
    """Have the network's performer take an interface away from a guest that runs."""

    phrase: ClassVar[str] = "disconnect {connected}"

    connected: ConnectedInterface

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        unplug = partial(performer_of(context).unplug, self.connected, network=context.network_namespace)
        await context.offload(unplug)
        return ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangePort(HostStep):
    """Have the network's performer change what an interface of a guest that runs is plugged into."""

    phrase: ClassVar[str] = "connect {interface} otherwise"

    connected: ConnectedInterface
    former: Interface
    interface: Interface

    def announce(self, identity: int) -> tuple[Holding, ...]:
        return (FormerPort(connected=self.connected, interface=self.former, wanted=self.interface),)

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        performer = performer_of(context)
        parts = (self.connected, self.former, self.interface)
        await context.offload(partial(performer.change_port, *parts, network=context.network_namespace))
        return self.announce(context.identity)


def performer_of(context: HostContext) -> InterfacePerformer:
    """Return who makes interfaces. Raises: OperationFailedError where nobody does."""
    if context.performer is None:
        raise OperationFailedError("there is nobody here to change network interfaces")
    return context.performer
