"""All virtual networks of this installation: the registry of the noun, and what a guest's card finds in it."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

from insula import model
from insula.errors import NetworkExistsError, NetworkNotFoundError, OperationFailedError, UnsupportedConfigError
from insula.layout import Layout
from insula.model.interfaces import Interface, InterfaceType
from insula.model.network import NetworkDefinition, dump_network, load_network
from insula.model.networkforward import ForwardInterface
from insula.model.networknumbers import ListNetworks
from insula.model.networkport import actual_interface, with_connections
from insula.model.pciaddress import PciAddress
from insula.model.xmlmap import Part
from insula.network.networktypes import device_at
from insula.service.definitionindex import DefinitionIndex, modules_of
from insula.service.definitions import Definitions, Form
from insula.service.events import Events
from insula.service.managednetwork import ManagedNetwork
from insula.service.networkruns import NetworkRun
from insula.service.registry import Noun, Registry
from insula.service.statelock import LOCK_PATIENCE
from insula.service.tasks import BackgroundTasks

NETWORK = Noun(word="network", missing=NetworkNotFoundError, exists=NetworkExistsError)

NETWORK_FORM = Form(
    word="network",
    editor="virsh net-edit",
    load=partial(load_network, bounded=False),
    dump=partial(dump_network, parts=Part.DEFINITION),
)

NOTHING_GIVEN: Mapping[str, int] = MappingProxyType({})

NETWORK_INDEX = "networks.index"
NETWORKS_MARK = "networks-autostarted"


def network_definitions(layout: Layout) -> Definitions[NetworkDefinition]:
    """Return the definitions of networks below a layout."""
    index = DefinitionIndex(layout.run / NETWORK_INDEX, modules_of(Path(model.__file__).parent))
    return Definitions(
        NETWORK_FORM, directory=layout.network_definitions, autostart=layout.network_autostart, index=index
    )


def with_named_devices(network: NetworkDefinition, device_at: Callable[[PciAddress], str]) -> NetworkDefinition:
    """Return a network with a pool of PCI addresses as one of the network devices that the host has there now.

    device_at: raises UnsupportedConfigError where it has none, as while a guest has it.
    Raises: OperationFailedError if there is none at any of them.
    """
    forward = network.forward
    if forward is None or forward.interfaces or not forward.addresses:
        return network
    found = []
    for each in forward.addresses:
        with suppress(UnsupportedConfigError):
            found.append(ForwardInterface(device=device_at(each)))
    if not found:
        raise OperationFailedError(
            f"the host has none of the {len(forward.addresses)} devices of the network '{network.name}' to give: "
            "guests have them, or they have no driver"
        )
    return replace(network, forward=replace(forward, interfaces=tuple(found), addresses=()))


class VirtualNetworks(Registry[ManagedNetwork]):
    """The networks. patience: see StateChangeLock; events: where they tell what happens to them; device_at: the name of
    the host's network device at a place on the PCI bus."""

    def __init__(
        self,
        *,
        patience: float = LOCK_PATIENCE,
        events: Events | None = None,
        device_at: Callable[[PciAddress], str] = device_at,
    ) -> None:
        super().__init__(NETWORK)
        self._patience = patience
        self._events = events or Events()
        self._device_at = device_at
        self._in_use: Callable[[], Mapping[str, int]] = dict
        self.tasks = BackgroundTasks()
        """What is being done to these networks."""

    def new(
        self,
        network: NetworkDefinition,
        *,
        config: NetworkDefinition | None = None,
        run: NetworkRun | None = None,
        autostart: bool = False,
    ) -> ManagedNetwork:
        """Return a new network, of the name and UUID that network has. Raises: NetworkExistsError if one is taken."""
        return self.add(
            ManagedNetwork(
                name=network.name,
                uuid=network.uuid,
                config=config,
                run=run,
                autostart=autostart,
                patience=self._patience,
                tasks=self.tasks,
                events=self._events,
                last=network,
            )
        )

    def count(self, in_use: Callable[[], Mapping[str, int]]) -> None:
        """Know from now on how many guests' cards use each network device of the host. in_use: for any thread."""
        self._in_use = in_use

    def plugging(self) -> Callable[[Interface], Interface]:
        """Return what says of each card of one guest what it is, so that no two of them get one device of a pool."""
        given: Counter[str] = Counter()

        def actual(card: Interface) -> Interface:
            plugged = self.actual(card, given)
            if plugged is not card and plugged.source is not None and plugged.source.device is not None:
                given[plugged.source.device] += 1
            return plugged

        return actual

    def actual(self, card: Interface, given: Mapping[str, int] = NOTHING_GIVEN) -> Interface:
        """Return what a guest's card is today: one of type `network` as its active network has it, any other itself.

        given: cards that are about to be on the host's devices. It is called in threads, and touches nothing.
        Raises: NetworkNotFoundError; OperationInvalidError if the network is not active; UnsupportedConfigError for
        what the network cannot give.
        """
        if card.type is not InterfaceType.NETWORK:
            return card
        name = card.source.network if card.source is not None else None
        network = with_named_devices(self.by_name(name or "").require_run().network, self._device_at)
        if network.forward is not None and network.forward.interfaces:
            network = with_connections(network, 0, Counter(self._in_use()) + Counter(given))
        return actual_interface(card, network)


Condition = Callable[[ManagedNetwork], bool]

_GROUPS: tuple[tuple[tuple[ListNetworks, Condition], ...], ...] = (
    (
        (ListNetworks.ACTIVE, lambda managed: managed.is_active),
        (ListNetworks.INACTIVE, lambda managed: not managed.is_active),
    ),
    (
        (ListNetworks.PERSISTENT, lambda managed: managed.is_persistent),
        (ListNetworks.TRANSIENT, lambda managed: not managed.is_persistent),
    ),
    (
        (ListNetworks.AUTOSTART, lambda managed: managed.autostart),
        (ListNetworks.NO_AUTOSTART, lambda managed: not managed.autostart),
    ),
)
"""libvirt's filter: kinds of one group are alternatives, groups restrict each other."""


def chosen_networks(networks: Iterable[ManagedNetwork], wanted: ListNetworks) -> list[ManagedNetwork]:
    """Return the networks that the filter lets through."""
    found = list(networks)
    for group in _GROUPS:
        conditions = [condition for flag, condition in group if flag in wanted]
        if conditions:
            found = [each for each in found if any(condition(each) for condition in conditions)]
    return found
