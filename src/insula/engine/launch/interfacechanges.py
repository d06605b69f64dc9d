"""Interfaces that a guest is given while it runs, that are taken away again, or plugged in elsewhere.

Each is one host step of a change (`engine.launch.changes`): announced in the record, made, and told by the record.
"""

from dataclasses import replace
from functools import partial

from insula.engine.fragments.speccheck import own_network
from insula.engine.interfaceperformer import ConnectedInterface, InterfacePerformer
from insula.engine.interfacespec import Interface, UserInterface, VethInterface
from insula.engine.launch.changes import Change, RunningChanges, WriteRecord, network_inside, nothing_written
from insula.engine.launch.holdings import ControlGroup, Holding, Interfaces
from insula.engine.launch.runningcontainer import Running
from insula.engine.spec import ContainerSpec
from insula.engine.steps.host.guestlinks import ChangePort, PlugInterface, UnplugInterface
from insula.engine.steps.host.helpergroups import group_beside, helper_place, in_scope
from insula.engine.steps.host.hoststep import Offload, inline
from insula.errors import OperationFailedError, OperationInvalidError, OperationUnsupportedError
from insula.kernel.fds import close_all

_NOTHING = Interfaces(connected=())


class InterfaceChanges:
    """Changes which interfaces run with a guest. changes: performs it; interfaces: who makes them, None: nobody."""

    def __init__(
        self, *, changes: RunningChanges, interfaces: InterfacePerformer | None, offload: Offload = inline
    ) -> None:
        self._changes = changes
        self._interfaces = interfaces
        self._offload = offload

    async def attach(self, running: Running, interface: Interface, write: WriteRecord = nothing_written) -> None:
        """Give a guest that runs one more interface, with its addresses and routes. See `RunningChanges.perform`.

        Raises: OperationInvalidError if it has one of that name, or no network of its own; StepError or
        OperationFailedError saying what the host or the kernel refused.
        """
        spec = _with_own_network(running)
        if any(each.guest == interface.guest for each in spec.interfaces):
            raise OperationInvalidError(f"{running.name} has an interface '{interface.guest}' already")
        if self._interfaces is None:
            raise OperationFailedError("there is nobody here to change network interfaces")
        network = network_inside(running)
        try:
            interface = await self._offload(partial(self._interfaces.identified, interface, network=network))
        finally:
            close_all([network])
        change = Change(
            host=(PlugInterface(why="asked for", interface=interface, helpers=_group_to_be_held(running, interface)),),
            spec=replace(spec, interfaces=(*spec.interfaces, interface)),
        )
        await self._changes.perform(running, change, write)

    async def detach(self, running: Running, guest: str, write: WriteRecord = nothing_written) -> None:
        """Take an interface away, one that it was started with too; a device of the host goes back. See `perform`.

        guest: its name inside by the record. One that the guest has removed itself is fine.
        Raises: OperationInvalidError if it was given none of that name; StepError, OperationFailedError.
        """
        spec, connected = _with_own_network(running), _connected(running, guest)

        def without(holding: Holding) -> Holding:
            return _with(holding, connected, ())

        change = Change(
            host=(UnplugInterface(why="no longer wanted", connected=connected),),
            keeps=without,
            drops=tuple(each for each in running.record.holdings if without(each) == _NOTHING),
            spec=replace(spec, interfaces=tuple(each for each in spec.interfaces if each.guest != guest)),
        )
        await self._changes.perform(running, change, write)

    async def change_port(self, running: Running, interface: Interface, write: WriteRecord = nothing_written) -> None:
        """Plug an interface in elsewhere, or otherwise: its bridge, carrier, limits, protection. See `perform`.

        interface: as it is to be; it has the name inside of the one that is meant.
        Raises: OperationInvalidError if it was given none of that name; OperationUnsupportedError for what cannot
        become different while it is plugged in; StepError, OperationFailedError, and it is what it was.
        """
        spec, connected = _with_own_network(running), _connected(running, interface.guest)
        former = next(each for each in spec.interfaces if each.guest == interface.guest)
        if type(interface) is not type(former):
            raise OperationUnsupportedError(
                f"interface '{former.guest}' of {running.name} is a {connected.kind.value} as long as it is plugged in"
            )
        now = connected
        if isinstance(interface, VethInterface):
            port = interface.port
            protected, floored = port.protection is not None, port.floor is not None
            now = replace(connected, bridge=interface.bridge, protected=protected, floored=floored)

        def moved(holding: Holding) -> Holding:
            return _with(holding, connected, (now,))

        change = Change(
            host=(ChangePort(why="asked for", connected=connected, former=former, interface=interface),),
            keeps=moved,
            spec=replace(spec, interfaces=tuple(interface if each is former else each for each in spec.interfaces)),
        )
        await self._changes.perform(running, change, write)

    async def adopt(self, running: Running) -> None:
        """Have the performer take over the interfaces of a guest that an earlier daemon began.

        Raises: OperationInvalidError if it has ended; OperationFailedError, and whatever the performer raises.
        """
        record = running.record
        specs = {each.guest: each for each in record.spec.interfaces}
        plugged = [(each, specs[each.guest]) for each in record.connected if each.guest in specs]
        if self._interfaces is None or not plugged or running.pidfd < 0:
            return
        network = network_inside(running)
        try:
            await self._offload(partial(self._interfaces.adopt, plugged, network=network))
        finally:
            close_all([network])

    async def revive(self, running: Running, guest: str, write: WriteRecord = nothing_written) -> None:
        """Begin the helper of an interface anew, which has ended.

        Raises: OperationInvalidError if it has ended, or was given none of that name; OperationFailedError,
        OperationUnsupportedError; OSError, and nothing has been written: another call begins it once more.
        """
        spec, connected = _with_own_network(running), _connected(running, guest)
        interface = next(each for each in spec.interfaces if each.guest == guest)
        if self._interfaces is None:
            raise OperationFailedError("there is nobody here to change network interfaces")
        place = helper_place(running.group, running.record.launch or "")
        network = network_inside(running)
        try:
            revive = partial(self._interfaces.revive, connected, interface, place, network=network)
            now = await self._offload(revive)
        finally:
            close_all([network])
        holdings = tuple(_with(each, connected, (now,)) for each in running.record.holdings)
        revived = replace(running.record, holdings=holdings)
        write(revived)
        running.record = revived

    async def settle(self, running: Running, write: WriteRecord = nothing_written) -> None:
        """Strike interfaces from the record that are not there: a daemon took them away and did not live to tell of it.

        Raises: OSError or InsulaError, and the record stays as it is.
        """
        record = running.record
        if self._interfaces is None or not record.connected:
            return
        network = network_inside(running)
        try:
            gone = await self._offload(partial(self._interfaces.gone, record.connected, network=network))
        finally:
            close_all([network])
        if not gone:
            return
        holdings = record.holdings
        for each in gone:
            holdings = tuple(_with(holding, each, ()) for holding in holdings)
        holdings = tuple(each for each in holdings if each != _NOTHING)
        names = {each.guest for each in gone}
        spec = replace(
            record.spec, interfaces=tuple(each for each in record.spec.interfaces if each.guest not in names)
        )
        settled = replace(record, spec=spec, holdings=holdings)
        write(settled)
        running.record = settled


def _group_to_be_held(running: Running, interface: Interface) -> str | None:
    """Return the path of the group that an interface's helper needs, None if none needs it, or it is held already."""
    group = running.record.group
    if not isinstance(interface, UserInterface) or in_scope(group):
        return None
    path = group_beside(group)
    held = any(isinstance(each, ControlGroup) and each.path == path for each in running.record.holdings)
    return None if held else path


def _with_own_network(running: Running) -> ContainerSpec:
    spec = running.record.spec
    if not own_network(spec):
        raise OperationInvalidError(f"{running.name} has no network of its own: change the one that it shares")
    return spec


def _connected(running: Running, guest: str) -> ConnectedInterface:
    for each in running.record.connected:
        if each.guest == guest:
            return each
    raise OperationInvalidError(f"{running.name} was given no interface '{guest}'")


def _with(holding: Holding, former: ConnectedInterface, those: tuple[ConnectedInterface, ...]) -> Holding:
    """Return a holding with others in the place of an interface that it may be of."""
    if not isinstance(holding, Interfaces) or former not in holding.connected:
        return holding
    connected = (new for each in holding.connected for new in (those if each == former else (each,)))
    return replace(holding, connected=tuple(connected))
