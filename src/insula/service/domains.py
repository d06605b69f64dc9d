"""The domains of this host: every verb on them, in libvirt's words.

A domain is meant by its reference; only the UUID counts, since a client may remember an old name or id. Plain methods
answer at once from what is known; `async` ones take the domain's lock, or wait for the kernel or a disk.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from insula.engine.console.consolechannel import ConsoleChannel, Viewing
from insula.engine.exitstatus import ExitStatus
from insula.engine.launch.running import boot_id
from insula.engine.plan.plan import LaunchPlan
from insula.engine.spec import Process
from insula.kernel.fds import Fd
from insula.layout import Layout
from insula.model.domain import Domain, XmlFlags
from insula.model.lifecycle import DomainState, StateWithReason
from insula.model.sizes import KiB
from insula.network.counters import InterfaceStatistics
from insula.network.inside import GuestInterface
from insula.service import bulkstats, describing, listing, statistics, vcpus
from insula.service.autostart import Autostart
from insula.service.blocktuning import BLKIO
from insula.service.consoles import ConsoleVerbs
from insula.service.containers import Engine, Looking, StandardStreams, WindowSize
from insula.service.cputuning import CPU, SCHEDULER
from insula.service.defining import DefinitionVerbs
from insula.service.definitions import Definitions
from insula.service.describing import ControlInfo, SecurityLabel
from insula.service.devices import DeviceVerbs
from insula.service.documents import Documents, T
from insula.service.events import DomainRef, Events, MetadataType
from insula.service.guest import GuestVerbs, StartedProgram
from insula.service.host import Host
from insula.service.impact import Changes
from insula.service.incoming import IncomingDocuments
from insula.service.jobs import LOCK_PATIENCE
from insula.service.lifecycle import END_PATIENCE, LifecycleVerbs
from insula.service.live import defined
from insula.service.managed import ManagedDomain, Stopped
from insula.service.memorytuning import MEMORY, MemoryVerbs
from insula.service.metadata import MetadataVerbs
from insula.service.parameters import Parameter
from insula.service.partitions import BELOW_MACHINE, Partitions
from insula.service.recovery import Recovery
from insula.service.registry import Registry
from insula.service.requests import AddressSource, Affect, Filter, ShutdownMode, StatsGroup, Storage
from insula.service.running import RunDirectory
from insula.service.runs import Launch, Preparation, Runs
from insula.service.shutdown import TIME_LIMIT, ShutdownVerbs
from insula.service.statistics import BlockStats, CpuStats, MemoryStat
from insula.service.tuning import TuningVerbs
from insula.service.vcpus import Vcpu

OS_TYPE = "exe"


@dataclass(frozen=True, kw_only=True, slots=True)
class DomainInfo:
    """memory: what it uses now, or could when it is off; both in KiB; cpu_time: nanoseconds."""

    state: DomainState
    maximum_memory: int
    memory: int
    vcpus: int
    cpu_time: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """Seconds: for another verb on the same domain, for a guest that was asked to stop, for all verbs at the end."""

    lock: float = LOCK_PATIENCE
    shutdown: float = TIME_LIMIT
    end: float = END_PATIENCE


class Domains:
    """All verbs on domains. engine: what launches; preparation: what makes files and ids ready for it; looker: what
    looks into guests."""

    def __init__(
        self,
        *,
        layout: Layout,
        engine: Engine,
        preparation: Preparation,
        events: Events,
        host: Host,
        looker: Looking,
        patience: Patience = Patience(),
        partitions: Partitions = BELOW_MACHINE,
    ) -> None:
        this_boot = boot_id()
        definitions, directory = Definitions(layout), RunDirectory(layout)
        self._engine, self._preparation, self._host, self._directory = engine, preparation, host, directory
        self._registry, self._end_patience = Registry(patience=patience.lock), patience.end
        self._runs = Runs(
            engine=engine,
            directory=directory,
            preparation=preparation,
            pid_of=self._pid_of,
            logs=layout.logs,
            boot_id=this_boot,
        )
        self._lifecycle = LifecycleVerbs(
            registry=self._registry, runs=self._runs, events=events, autostart=Autostart(layout.run, this_boot)
        )
        self._defining = DefinitionVerbs(
            registry=self._registry, definitions=definitions, runs=self._runs, events=events
        )
        self._documents = Documents()
        self._incoming = IncomingDocuments(documents=self._documents, registry=self._registry, partitions=partitions)
        changes = Changes(definitions=self._defining, runs=self._runs, documents=self._documents)
        self._shutdown = ShutdownVerbs(runs=self._runs, looker=looker, time_limit=patience.shutdown)
        self._tuning = TuningVerbs(changes=changes, events=events)
        self._memory = MemoryVerbs(changes=changes, events=events)
        self._metadata = MetadataVerbs(changes=changes, events=events)
        self._devices = DeviceVerbs(changes, self._documents)
        self._guest = GuestVerbs(engine)
        self._consoles = ConsoleVerbs(self._runs)
        self._recovery = Recovery(
            registry=self._registry,
            definitions=definitions,
            directory=directory,
            engine=engine,
            runs=self._runs,
            preparation=preparation,
            lifecycle=self._lifecycle,
            boot_id=this_boot,
        )

    # The daemon's own

    async def recover(self) -> None:
        """Take over what an earlier daemon left, before anything else is asked."""
        await self.take_stock()
        await self.take_over()

    async def take_stock(self) -> None:
        """Know all domains and their states; from now on everything may be asked, and verbs wait for `take_over`."""
        with self._lifecycle.ends_held_back():
            await self._recovery.take_stock()

    async def take_over(self) -> None:
        """Take over what an earlier daemon left, a domain at a time; return when all of it is."""
        await self._recovery.take_over()

    def settling(self, uuid: UUID) -> Awaitable[None] | None:
        """Return what to wait for before the guest of a domain can be reached, None if it can now."""
        managed = self._registry.find(uuid)
        return None if managed is None else managed.settling()

    async def start_autostarted(self) -> None:
        """Start every domain that starts with the host and does not run; once in a boot."""
        await self._lifecycle.start_autostarted()

    async def keeper_replaced(self) -> None:
        """Give the guests to a keeper that has just begun, because the one before died."""
        await self._recovery.keeper_replaced()
        await self._guest.keeper_replaced()

    def guest_ended(self, uuid: UUID, status: ExitStatus) -> None:
        """Take the keeper's word that a guest's init is gone. Returns at once."""
        self._lifecycle.guest_ended(uuid, status)

    def process_ended(self, identity: str, status: int | None) -> None:
        """Take the keeper's word that a program put into a guest is gone. Returns at once."""
        self._lifecycle.spawn(self._guest.process_ended(identity, status), f"end of program {identity}")

    async def connection_closed(self, owner: object) -> None:
        """Destroy what was started to live no longer than this connection."""
        await self._lifecycle.connection_closed(owner)

    def running(self) -> int:
        """Return how many domains run, or wait to be started again."""
        return sum(1 for each in self._registry if each.is_active or each.will_restart)

    async def close(self) -> None:
        """Let what is under way come to its end, if that does not take too long. Guests stay."""
        self._shutdown.close()
        await self._recovery.close()
        await self._lifecycle.close(self._end_patience)
        self._directory.pay()
        self._documents.close()

    # Which there are

    def list(self, filter: Filter = Filter.ALL) -> list[DomainRef]:  # noqa: A002 - libvirt's words
        """Return the domains that the filter lets through."""
        return [each.ref for each in self._registry if listing.matches(each, filter)]

    def lookup_by_name(self, name: str) -> DomainRef:
        """Raises: DomainNotFoundError."""
        return self._registry.by_name(name).ref

    def lookup_by_uuid(self, uuid: UUID) -> DomainRef:
        """Raises: DomainNotFoundError."""
        return self._registry.by_uuid(uuid).ref

    def lookup_by_id(self, number: int) -> DomainRef:
        """Return the running domain with this id. Raises: DomainNotFoundError."""
        return self._registry.by_id(number).ref

    def ref(self, ref: DomainRef) -> DomainRef:
        """Return the same domain with its present name and id. Raises: DomainNotFoundError."""
        return self._of(ref).ref

    # What they are

    def state(self, ref: DomainRef) -> StateWithReason:
        return self._of(ref).state

    def info(self, ref: DomainRef) -> DomainInfo:
        managed = self._of(ref)
        used = statistics.used(managed)
        return DomainInfo(
            state=managed.state.state,
            maximum_memory=managed.current.memory,
            memory=managed.current.memory_now if used is None or used.memory is None else used.memory.usage // 1024,
            vcpus=managed.current.vcpu.count,
            cpu_time=used.cpu.total if used is not None and used.cpu is not None else 0,
        )

    def is_active(self, ref: DomainRef) -> bool:
        return self._of(ref).is_active

    def is_persistent(self, ref: DomainRef) -> bool:
        return self._of(ref).is_persistent

    def is_updated(self, ref: DomainRef) -> bool:
        """Whether what is defined was changed since the present run began."""
        return self._of(ref).updated

    def autostart(self, ref: DomainRef) -> bool:
        return self._of(ref).autostart

    def has_managed_save(self, ref: DomainRef) -> bool:
        """Whether a saved image of the domain is kept: there are none."""
        self._of(ref)
        return False

    def os_type(self, ref: DomainRef) -> str:
        self._of(ref)
        return OS_TYPE

    def dump_xml(self, ref: DomainRef, *, inactive: bool = False, secure: bool = False) -> str:
        """Return the definition: of the present run, or (inactive) what the next one will be started from."""
        managed = self._of(ref)
        flags = XmlFlags.SECURE if secure else XmlFlags.LIVE
        if not inactive and managed.is_active:
            return managed.current.dump(flags)
        config = managed.config if managed.config is not None else defined(managed.current)
        return config.dump(flags | XmlFlags.INACTIVE)

    async def aside(self, question: Callable[[], T]) -> T:
        """Answer a question about a domain's document beside the loop: it may be long."""
        return await self._documents.aside(question)

    def security_label(self, ref: DomainRef) -> SecurityLabel:
        self._of(ref)
        return SecurityLabel()

    def control(self, ref: DomainRef) -> ControlInfo:
        lock = self._of(ref).lock
        return ControlInfo(verb=lock.holder, seconds=lock.held_for)

    def messages(self, ref: DomainRef) -> Sequence[str]:
        """Return what an administrator should know about the present run."""
        return list(self._of(ref).notices)

    def describe(self, ref: DomainRef) -> dict[str, Any]:
        """Return everything there is to tell about a domain, as JSON values."""
        return describing.described(self._of(ref))

    async def plan(self, ref: DomainRef) -> LaunchPlan:
        """Return how the domain would be launched, every step with its reason; nothing is made."""
        current = self._of(ref).current
        return await asyncio.to_thread(lambda: self._planned(defined(current)))

    async def plan_xml(self, xml: str) -> LaunchPlan:
        """Return how the domain that xml describes would be launched."""
        return await asyncio.to_thread(self._planned, await self._incoming.read(xml))

    # Their definitions

    async def define(self, xml: str) -> DomainRef:
        """Raises: XmlError, DomainExistsError, OperationFailedError."""
        return (await self._defining.define(await self._incoming.read(xml))).ref

    async def undefine(self, ref: DomainRef, *, storage: Storage = Storage.KEEP) -> None:
        """Raises: OperationInvalidError for a transient domain."""
        await self._defining.undefine(self._of(ref), storage)

    async def set_autostart(self, ref: DomainRef, on: bool) -> None:
        """Raises: OperationInvalidError for a transient domain."""
        await self._defining.set_autostart(self._of(ref), on=on)

    def metadata(self, ref: DomainRef, kind: MetadataType, uri: str | None, affect: Affect) -> str:
        """Raises: MetadataNotFoundError."""
        return self._metadata.metadata(self._of(ref), kind, uri, affect)

    async def set_metadata(
        self, ref: DomainRef, kind: MetadataType, value: str | None, key: str | None, uri: str | None, affect: Affect
    ) -> None:
        await self._metadata.set_metadata(self._of(ref), kind, value, key=key, uri=uri, affect=affect)

    async def attach_device(self, ref: DomainRef, xml: str, affect: Affect) -> None:
        await self._devices.attach(self._of(ref), xml, affect)

    async def detach_device(self, ref: DomainRef, xml: str, affect: Affect) -> None:
        await self._devices.detach(self._of(ref), xml, affect)

    async def update_device(self, ref: DomainRef, xml: str, affect: Affect) -> None:
        await self._devices.update(self._of(ref), xml, affect)

    # Their life

    async def create_xml(
        self, xml: str, *, paused: bool = False, owner: object | None = None, fds: Sequence[int] = ()
    ) -> DomainRef:
        """Start what xml describes, without defining it. owner: see connection_closed.

        Raises: XmlError, DomainExistsError, OperationInvalidError if it runs, and what a start may raise.
        """
        domain = await self._incoming.read(xml)
        return (await self._lifecycle.create(domain, Launch(paused=paused, owner=owner, fds=fds))).ref

    async def start(
        self, ref: DomainRef, *, paused: bool = False, owner: object | None = None, fds: Sequence[int] = ()
    ) -> DomainRef:
        """Raises: OperationInvalidError if it runs, UnsupportedConfigError, StepError."""
        managed = self._of(ref)
        await self._lifecycle.start(managed, Launch(paused=paused, owner=owner, fds=fds))
        return managed.ref

    async def shutdown(self, ref: DomainRef, modes: ShutdownMode = ShutdownMode.DEFAULT) -> None:
        """Ask the guest to power off; return once it was asked."""
        await self._shutdown.shutdown(self._of(ref), modes)

    async def reboot(self, ref: DomainRef, modes: ShutdownMode = ShutdownMode.DEFAULT) -> None:
        """Ask the guest to reboot; return once it was asked."""
        await self._shutdown.reboot(self._of(ref), modes)

    async def destroy(self, ref: DomainRef) -> None:
        """Raises: OperationInvalidError if it does not run."""
        await self._lifecycle.destroy(self._of(ref))

    async def suspend(self, ref: DomainRef) -> None:
        await self._lifecycle.suspend(self._of(ref))

    async def resume(self, ref: DomainRef) -> None:
        await self._lifecycle.resume(self._of(ref))

    async def wait(self, ref: DomainRef) -> Stopped:
        """Return how the domain went off, once it has; a transient one is gone then."""
        return await self._lifecycle.wait(self._of(ref))

    # Their limits

    def memory_parameters(self, ref: DomainRef, affect: Affect) -> Sequence[Parameter]:
        return self._tuning.parameters(self._of(ref), MEMORY, affect)

    async def set_memory_parameters(self, ref: DomainRef, parameters: Sequence[Parameter], affect: Affect) -> None:
        await self._tuning.set_parameters(self._of(ref), MEMORY, parameters, affect)

    def blkio_parameters(self, ref: DomainRef, affect: Affect) -> Sequence[Parameter]:
        return self._tuning.parameters(self._of(ref), BLKIO, affect)

    async def set_blkio_parameters(self, ref: DomainRef, parameters: Sequence[Parameter], affect: Affect) -> None:
        await self._tuning.set_parameters(self._of(ref), BLKIO, parameters, affect)

    def scheduler_type(self, ref: DomainRef) -> tuple[str, int]:
        """Return the scheduler's name and how many parameters it has."""
        self._of(ref)
        return SCHEDULER, len(CPU.table)

    def scheduler_parameters(self, ref: DomainRef, affect: Affect) -> Sequence[Parameter]:
        return self._tuning.parameters(self._of(ref), CPU, affect)

    async def set_scheduler_parameters(self, ref: DomainRef, parameters: Sequence[Parameter], affect: Affect) -> None:
        await self._tuning.set_parameters(self._of(ref), CPU, parameters, affect)

    def maximum_memory(self, ref: DomainRef) -> int:
        """Return the most the domain can be given, in KiB."""
        return self._of(ref).current.memory

    async def set_memory(self, ref: DomainRef, kib: int, affect: Affect) -> None:
        await self._memory.set_memory(self._of(ref), KiB(kib), affect)

    async def set_maximum_memory(self, ref: DomainRef, kib: int, affect: Affect) -> None:
        await self._memory.set_maximum_memory(self._of(ref), KiB(kib), affect)

    # What they use

    def cpu_stats(self, ref: DomainRef) -> CpuStats:
        return statistics.cpu_stats(self._of(ref))

    def memory_stats(self, ref: DomainRef) -> Sequence[tuple[MemoryStat, int]]:
        return statistics.memory_stats(self._of(ref))

    def block_stats(self, ref: DomainRef, path: str) -> BlockStats:
        return statistics.block_stats(self._of(ref), path)

    def interface_stats(self, ref: DomainRef, device: str) -> InterfaceStatistics:
        return statistics.interface_stats(self._of(ref), device)

    def all_stats(
        self,
        refs: Sequence[DomainRef] | None,
        groups: StatsGroup,
        filter: Filter = Filter.ALL,  # noqa: A002
    ) -> Sequence[tuple[DomainRef, Sequence[Parameter]]]:
        """Return statistics of the domains named, or of all, that the filter lets through."""
        wanted = list(self._registry) if refs is None else [self._of(each) for each in refs]
        return bulkstats.all_stats([each for each in wanted if listing.matches(each, filter)], groups)

    def vcpu_count(self, ref: DomainRef, affect: Affect, *, maximum: bool = False) -> int:
        return vcpus.count(self._of(ref), affect, maximum=maximum)

    def maximum_vcpus(self, ref: DomainRef) -> int:
        return self._of(ref).current.vcpu.count

    def vcpus(self, ref: DomainRef) -> Sequence[Vcpu]:
        return vcpus.vcpus(self._of(ref), self._host.cpu_map().online)

    def vcpu_pins(self, ref: DomainRef, affect: Affect) -> Sequence[AbstractSet[int]]:
        return vcpus.pins(self._of(ref), affect, self._host.cpu_map().online)

    # Their insides

    async def hostname(self, ref: DomainRef) -> str:
        return await self._guest.hostname(self._of(ref))

    async def interface_addresses(self, ref: DomainRef, source: AddressSource) -> Sequence[GuestInterface]:
        return await self._guest.interfaces(self._of(ref), source)

    async def send_signal(self, ref: DomainRef, pid: int, signal: int) -> None:
        await self._guest.send_signal(self._of(ref), pid, signal)

    async def namespaces(self, ref: DomainRef) -> Sequence[Fd]:
        """Return the guest's namespaces: user, ipc, uts, net, pid, mnt; the caller closes them."""
        return await self._guest.namespaces(self._of(ref))

    async def execute(
        self,
        ref: DomainRef,
        process: Process,
        *,
        stdio: StandardStreams | None = None,
        terminal: WindowSize | None = None,
        capabilities: frozenset[str] | None = None,
    ) -> StartedProgram:
        """Put a program into the guest, with the caller's streams or a terminal of its own."""
        return await self._guest.execute(
            self._of(ref), process, stdio=stdio, terminal=terminal, capabilities=capabilities
        )

    async def wait_executed(self, number: int) -> int | None:
        """Return the wait status of a program that was put into a guest, once it has ended."""
        return await self._guest.wait_executed(number)

    def signal_executed(self, number: int, signal: int) -> None:
        """Send a signal to a program that was put into a guest."""
        self._guest.signal_executed(number, signal)

    def console(
        self,
        ref: DomainRef,
        device: str | None = None,
        *,
        viewing: Viewing = Viewing.INTERACTIVE,
        force: bool = False,
    ) -> ConsoleChannel:
        """Return a viewer's end of a console. device: its alias or terminal, None for the first."""
        return self._consoles.open(self._of(ref), device, viewing=viewing, force=force)

    def resize_console(self, ref: DomainRef, device: str | None, rows: int, columns: int) -> None:
        self._consoles.resize(self._of(ref), device, rows, columns)

    def console_log(self, ref: DomainRef, device: str | None = None) -> Path:
        """Return the file with what a console printed."""
        return self._consoles.log(self._of(ref), device)

    def _planned(self, domain: Domain) -> LaunchPlan:
        return self._engine.plan(self._preparation.rehearse(domain, self._pid_of))

    def _pid_of(self, name: str) -> int:
        return self._registry.by_name(name).require_run().container.pid

    def _of(self, ref: DomainRef) -> ManagedDomain:
        return self._registry.by_uuid(ref.uuid)
