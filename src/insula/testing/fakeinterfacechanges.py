"""Changes of which interfaces run with a container, of which only the record tells."""

from dataclasses import replace

from insula.engine.interfaceperformer import ConnectedInterface
from insula.engine.interfacespec import Interface, VethInterface
from insula.engine.launch.changes import WriteRecord
from insula.engine.launch.holdings import HalfPlugged, Holding, Interfaces
from insula.engine.launch.runningcontainer import Running
from insula.engine.spec import ContainerSpec
from insula.errors import OperationInvalidError


class FakeInterfaceChanges:
    """The part of an engine that plugs interfaces: announced, then made. See `engine.launch.interfacechanges`."""

    async def attach(self, running: Running, interface: Interface, write: WriteRecord) -> None:
        running.refuse_unless_entered()
        before = running.record
        bridge = interface.bridge if isinstance(interface, VethInterface) else None
        host = f"vnet{len(before.connected)}" if isinstance(interface, VethInterface) else ""
        made = ConnectedInterface(
            guest=interface.guest, host=host, host_index=1, bridge=bridge, mac=interface.mac or "02:00:00:00:00:01"
        )
        self._become(running, write, before.spec, (*before.holdings, HalfPlugged(interface=interface)))
        spec = replace(before.spec, interfaces=(*before.spec.interfaces, interface))
        self._become(running, write, spec, (*before.holdings, Interfaces(connected=(made,))))

    async def detach(self, running: Running, guest: str, write: WriteRecord) -> None:
        running.refuse_unless_entered()
        record = running.record
        if all(each.guest != guest for each in record.connected):
            raise OperationInvalidError(f"{running.name} was given no interface '{guest}'")
        kept = tuple(
            replace(each, connected=tuple(one for one in each.connected if one.guest != guest))
            if isinstance(each, Interfaces)
            else each
            for each in record.holdings
        )
        interfaces = tuple(each for each in record.spec.interfaces if each.guest != guest)
        self._become(running, write, replace(record.spec, interfaces=interfaces), kept)

    async def change_port(self, running: Running, interface: Interface, write: WriteRecord) -> None:
        running.refuse_unless_entered()
        record = running.record
        interfaces = tuple(interface if each.guest == interface.guest else each for each in record.spec.interfaces)
        self._become(running, write, replace(record.spec, interfaces=interfaces), record.holdings)

    async def revive(self, running: Running, guest: str, write: WriteRecord) -> None:
        """A helper of memory has a process of another number each time."""
        record = running.record

        def revived(holding: Holding) -> Holding:
            if not isinstance(holding, Interfaces):
                return holding
            return replace(holding, connected=tuple(_begun_anew(each, guest) for each in holding.connected))

        self._become(running, write, record.spec, tuple(map(revived, record.holdings)))

    async def adopt(self, running: Running) -> None:
        """Nobody has to do anything for interfaces of memory."""

    async def settle(self, running: Running, write: WriteRecord) -> None:
        """Everything is where the record says."""

    @staticmethod
    def _become(running: Running, write: WriteRecord, spec: ContainerSpec, holdings: tuple[Holding, ...]) -> None:
        record = replace(running.record, spec=spec, holdings=holdings)
        write(record)
        running.record = record


def _begun_anew(connected: ConnectedInterface, guest: str) -> ConnectedInterface:
    helper = connected.helper
    if connected.guest != guest or helper is None:
        return connected
    process = replace(helper.process, pid=helper.process.pid + 1)
    return replace(connected, helper=replace(helper, process=process))
