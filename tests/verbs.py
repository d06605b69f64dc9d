"""The services' verbs by reference, as their clients mean domains: what tests of the services speak in."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any
from uuid import UUID

from insula.daemon.incomingcall import Services
from insula.daemon.wiring import Wiring
from insula.engine.console.consolechannel import ConsoleChannel, Viewing
from insula.engine.exitstatus import ExitStatus
from insula.engine.plan.plan import LaunchPlan
from insula.engine.spec import Process
from insula.kernel.fds import Fd
from insula.model.domainstates import StateWithReason
from insula.model.numbers import AddressSource, Affect, ListDomains, MemoryStat, MetadataType, ShutdownMode, StatsTypes
from insula.model.sizes import KiB
from insula.network.counters import InterfaceStatistics
from insula.network.guestinterfaces import GuestInterface
from insula.service import bulkstats, describing, listing, statistics, vcpus
from insula.service.blocktuning import BLKIO
from insula.service.containers import StandardStreams, WindowSize
from insula.service.cputuning import CPU
from insula.service.describing import DomainInfo
from insula.service.events import DomainIdentity
from insula.service.guest import StartedProgram
from insula.service.managed import ManagedDomain, Stopped
from insula.service.memorytuning import MEMORY
from insula.service.parameters import Parameter
from insula.service.startoptions import Launch, Storage
from insula.service.statistics import BlockStats, CpuStats
from insula.service.vcpus import VcpuInfo


class Verbs:
    """The verbs of wired services. Each looks its domain up, as the daemon does for a call, and calls a service."""

    def __init__(self, wiring: Wiring) -> None:
        self.wiring = wiring
        self.services: Services = wiring.services

    def of(self, ref: DomainIdentity) -> ManagedDomain:
        """Raises: DomainNotFoundError."""
        return self.services.domains.by_uuid(ref.uuid)

    # The daemon's own

    async def recover(self) -> None:
        await self.take_stock()
        await self.take_over()

    async def take_stock(self) -> None:
        await self.wiring.networks.take_stock()
        await self.wiring.recovery.take_stock()

    async def take_over(self) -> None:
        await self.wiring.recovery.take_over()
        await self.wiring.networks.take_over()

    async def start_autostarted(self) -> None:
        await self.services.boot.start()

    async def keeper_replaced(self) -> None:
        await self.wiring.keeper_replaced()

    def guest_ended(self, uuid: UUID, status: ExitStatus) -> None:
        self.services.lifecycle.guest_ended(uuid, status)

    def process_ended(self, identity: str, status: int | None, *, held: bool = True) -> None:
        self.wiring.process_ended(identity, status, held=held)

    async def connection_closed(self, owner: object) -> None:
        await self.services.lifecycle.connection_closed(owner)

    def running(self) -> int:
        return listing.active(self.services.domains)

    async def close(self) -> None:
        await self.wiring.close()

    # Which there are

    def list(self, filter: ListDomains = ListDomains.ALL) -> list[DomainIdentity]:  # noqa: A002 - libvirt's words
        """Return the domains that the filter lets through."""
        return [each.ref for each in listing.chosen(self.services.domains, filter)]

    def lookup_by_name(self, name: str) -> DomainIdentity:
        """Raises: DomainNotFoundError."""
        return self.services.domains.by_name(name).ref

    def lookup_by_uuid(self, uuid: UUID) -> DomainIdentity:
        """Raises: DomainNotFoundError."""
        return self.services.domains.by_uuid(uuid).ref

    def lookup_by_id(self, number: int) -> DomainIdentity:
        """Return the running domain with this id. Raises: DomainNotFoundError."""
        return self.services.domains.by_id(number).ref

    def ref(self, ref: DomainIdentity) -> DomainIdentity:
        """Return the same domain with its present name and id. Raises: DomainNotFoundError."""
        return self.of(ref).ref

    # What they are

    def state(self, ref: DomainIdentity) -> StateWithReason:
        return self.of(ref).state

    def is_active(self, ref: DomainIdentity) -> bool:
        return self.of(ref).is_active

    def is_persistent(self, ref: DomainIdentity) -> bool:
        return self.of(ref).is_persistent

    def is_updated(self, ref: DomainIdentity) -> bool:
        """Whether what is defined was changed since the present run began."""
        return self.of(ref).updated

    def autostart(self, ref: DomainIdentity) -> bool:
        return self.of(ref).autostart

    def messages(self, ref: DomainIdentity) -> Sequence[str]:
        """Return what an administrator should know about the present run."""
        return list(self.of(ref).notices)

    # Their definitions

    async def define(self, xml: str) -> DomainIdentity:
        """Raises: XmlError, DomainExistsError, OperationFailedError."""
        return (await self.services.definitions.define(await self.services.incoming.read(xml))).ref

    async def undefine(self, ref: DomainIdentity, *, storage: Storage = Storage.KEEP) -> None:
        """Raises: OperationInvalidError for a transient domain."""
        await self.services.definitions.undefine(self.of(ref), storage)

    async def rename(self, ref: DomainIdentity, name: str) -> None:
        await self.services.definitions.rename(self.of(ref), name)

    async def set_autostart(self, ref: DomainIdentity, on: bool) -> None:
        """Raises: OperationInvalidError for a transient domain."""
        await self.services.definitions.set_autostart(self.of(ref), on=on)

    def metadata(self, ref: DomainIdentity, kind: MetadataType, uri: str | None, affect: Affect) -> str:
        """Raises: MetadataNotFoundError."""
        return self.services.metadata.metadata(self.of(ref), kind, uri, affect)

    async def set_metadata(
        self,
        ref: DomainIdentity,
        kind: MetadataType,
        value: str | None,
        key: str | None,
        uri: str | None,
        affect: Affect,
    ) -> None:
        await self.services.metadata.set_metadata(self.of(ref), kind, value, key=key, uri=uri, affect=affect)

    async def attach_device(self, ref: DomainIdentity, xml: str, affect: Affect) -> None:
        await self.services.devices.attach(self.of(ref), xml, affect)

    async def detach_device(self, ref: DomainIdentity, xml: str, affect: Affect) -> None:
        await self.services.devices.detach(self.of(ref), xml, affect)

    async def update_device(self, ref: DomainIdentity, xml: str, affect: Affect) -> None:
        await self.services.devices.update(self.of(ref), xml, affect)

    # Their life

    async def create_xml(
        self, xml: str, *, paused: bool = False, owner: object | None = None, fds: Sequence[int] = ()
    ) -> DomainIdentity:
        """Start what xml describes, without defining it. owner: see connection_closed.

        Raises: XmlError, DomainExistsError, OperationInvalidError if it runs, and what a start may raise.
        """
        domain = await self.services.incoming.read(xml)
        return (await self.services.lifecycle.create(domain, Launch(paused=paused, owner=owner, fds=fds))).ref

    async def start(
        self, ref: DomainIdentity, *, paused: bool = False, owner: object | None = None, fds: Sequence[int] = ()
    ) -> DomainIdentity:
        """Raises: OperationInvalidError if it runs, UnsupportedConfigError, StepError."""
        managed = self.of(ref)
        await self.services.lifecycle.start(managed, Launch(paused=paused, owner=owner, fds=fds))
        return managed.ref

    async def shutdown(self, ref: DomainIdentity, modes: ShutdownMode = ShutdownMode.DEFAULT) -> None:
        """Ask the guest to power off; return once it was asked."""
        await self.services.shutdown.shutdown(self.of(ref), modes)

    async def reset(self, ref: DomainIdentity) -> None:
        """Kill the guest and start it again."""
        await self.services.lifecycle.reset(self.of(ref))

    async def reboot(self, ref: DomainIdentity, modes: ShutdownMode = ShutdownMode.DEFAULT) -> None:
        """Ask the guest to reboot; return once it was asked."""
        await self.services.shutdown.reboot(self.of(ref), modes)

    async def destroy(self, ref: DomainIdentity) -> None:
        """Raises: OperationInvalidError if it does not run."""
        await self.services.lifecycle.destroy(self.of(ref))

    async def suspend(self, ref: DomainIdentity) -> None:
        await self.services.lifecycle.suspend(self.of(ref))

    async def resume(self, ref: DomainIdentity) -> None:
        await self.services.lifecycle.resume(self.of(ref))

    async def wait(self, ref: DomainIdentity) -> Stopped:
        """Return how the domain went off, once it has; a transient one is gone then."""
        return await self.services.lifecycle.wait(self.of(ref))

    # Their limits

    def memory_parameters(self, ref: DomainIdentity, affect: Affect) -> Sequence[Parameter]:
        return self.services.tuning.parameters(self.of(ref), MEMORY, affect)

    async def set_memory_parameters(self, ref: DomainIdentity, parameters: Sequence[Parameter], affect: Affect) -> None:
        await self.services.tuning.set_parameters(self.of(ref), MEMORY, parameters, affect)

    def blkio_parameters(self, ref: DomainIdentity, affect: Affect) -> Sequence[Parameter]:
        return self.services.tuning.parameters(self.of(ref), BLKIO, affect)

    async def set_blkio_parameters(self, ref: DomainIdentity, parameters: Sequence[Parameter], affect: Affect) -> None:
        await self.services.tuning.set_parameters(self.of(ref), BLKIO, parameters, affect)

    def scheduler_parameters(self, ref: DomainIdentity, affect: Affect) -> Sequence[Parameter]:
        return self.services.tuning.parameters(self.of(ref), CPU, affect)

    async def set_scheduler_parameters(
        self, ref: DomainIdentity, parameters: Sequence[Parameter], affect: Affect
    ) -> None:
        await self.services.tuning.set_parameters(self.of(ref), CPU, parameters, affect)

    async def set_memory(self, ref: DomainIdentity, kib: int, affect: Affect) -> None:
        await self.services.memory.set_memory(self.of(ref), KiB(kib), affect)

    async def set_maximum_memory(self, ref: DomainIdentity, kib: int, affect: Affect) -> None:
        await self.services.memory.set_maximum_memory(self.of(ref), KiB(kib), affect)

    # What they use

    def cpu_stats(self, ref: DomainIdentity) -> CpuStats:
        return statistics.cpu_stats(self.of(ref))

    def memory_stats(self, ref: DomainIdentity) -> Sequence[tuple[MemoryStat, int]]:
        return statistics.memory_stats(self.of(ref))

    def block_stats(self, ref: DomainIdentity, path: str) -> BlockStats:
        return statistics.block_stats(self.of(ref), path)

    def interface_stats(self, ref: DomainIdentity, device: str) -> InterfaceStatistics:
        return statistics.interface_stats(self.of(ref), device)

    def vcpu_count(self, ref: DomainIdentity, affect: Affect, *, maximum: bool = False) -> int:
        return vcpus.count(self.of(ref), affect, maximum=maximum)

    def vcpus(self, ref: DomainIdentity) -> Sequence[VcpuInfo]:
        return vcpus.vcpus(self.of(ref), self.services.host.cpu_map().online)

    def vcpu_pins(self, ref: DomainIdentity, affect: Affect) -> Sequence[AbstractSet[int]]:
        return vcpus.pins(self.of(ref), affect, self.services.host.cpu_map().online)

    # Their insides

    async def hostname(self, ref: DomainIdentity) -> str:
        return await self.services.guest.hostname(self.of(ref))

    async def interface_addresses(self, ref: DomainIdentity, source: AddressSource) -> Sequence[GuestInterface]:
        return await self.services.guest.interfaces(self.of(ref), source)

    async def send_signal(self, ref: DomainIdentity, pid: int, signal: int) -> None:
        await self.services.guest.send_signal(self.of(ref), pid, signal)

    async def namespaces(self, ref: DomainIdentity) -> Sequence[Fd]:
        """Return the guest's namespaces: user, ipc, uts, net, pid, mnt; the caller closes them."""
        return await self.services.guest.namespaces(self.of(ref))

    async def execute(
        self,
        ref: DomainIdentity,
        process: Process,
        *,
        stdio: StandardStreams | None = None,
        terminal: WindowSize | None = None,
        capabilities: frozenset[str] | None = None,
    ) -> StartedProgram:
        """Put a program into the guest, with the caller's streams or a terminal of its own."""
        return await self.services.guest.execute(
            self.of(ref), process, stdio=stdio, terminal=terminal, capabilities=capabilities
        )

    async def wait_executed(self, number: int) -> int | None:
        """Return the wait status of a program that was put into a guest, once it has ended."""
        return await self.services.guest.wait_executed(number)

    def signal_executed(self, number: int, signal: int) -> None:
        """Send a signal to a program that was put into a guest."""
        self.services.guest.signal_executed(number, signal)

    def console(
        self,
        ref: DomainIdentity,
        device: str | None = None,
        *,
        viewing: Viewing = Viewing.INTERACTIVE,
        force: bool = False,
    ) -> ConsoleChannel:
        """Return a viewer's end of a console. device: its alias or terminal, None for the first."""
        return self.services.consoles.open(self.of(ref), device, viewing=viewing, force=force)

    def resize_console(self, ref: DomainIdentity, device: str | None, rows: int, columns: int) -> None:
        self.services.consoles.resize(self.of(ref), device, rows, columns)

    def console_log(self, ref: DomainIdentity, device: str | None = None) -> Path:
        """Return the file with what a console printed."""
        return self.services.consoles.log(self.of(ref), device)

    def info(self, ref: DomainIdentity) -> DomainInfo:
        return describing.info(self.of(ref))

    def dump_xml(self, ref: DomainIdentity, *, inactive: bool = False, secure: bool = False) -> str:
        return describing.xml(self.of(ref), inactive=inactive, secure=secure)

    def describe(self, ref: DomainIdentity) -> dict[str, Any]:
        return describing.described(self.of(ref))

    def holder(self, ref: DomainIdentity) -> str | None:
        """The verb that changes the domain now."""
        return self.of(ref).lock.holder

    async def plan(self, ref: DomainIdentity) -> LaunchPlan:
        return await self.services.planning.plan(self.of(ref))

    async def plan_xml(self, xml: str) -> LaunchPlan:
        return await self.services.planning.plan_of(await self.services.incoming.read(xml))

    def all_stats(
        self,
        refs: Sequence[DomainIdentity] | None,
        groups: StatsTypes,
        filter: ListDomains = ListDomains.ALL,  # noqa: A002
    ) -> Sequence[tuple[DomainIdentity, Sequence[Parameter]]]:
        wanted = self.services.domains if refs is None else [self.of(each) for each in refs]
        found = listing.chosen(wanted, filter)
        gathered = bulkstats.Gathered(counters=bulkstats.counters(found, groups))
        return bulkstats.all_stats(found, groups, gathered)
