"""One simulated insulad: the real keeper link, the real verbs and recovery, over a fake host, on a loop of its own."""

import asyncio
import os
import socket
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from insula.daemon.keeperlink import KeeperSupervisor
from insula.daemon.wiring import Patience, Wiring, wire
from insula.engine.exitstatus import ExitStatus
from insula.engine.interfaceperformer import ConnectedInterface
from insula.engine.interfacespec import VethInterface
from insula.engine.keeper.link import KeeperEvent as KeeperEvent
from insula.engine.keeper.protocol import EventKind
from insula.engine.spec import ContainerSpec, IdMap, Process
from insula.engine.threads import in_own_thread
from insula.errors import InsulaError
from insula.kernel.fds import Fd
from insula.layout import Layout
from insula.model.domain import DomainDefinition
from insula.model.domainstates import DomainState
from insula.model.numbers import ParameterType, ShutdownMode
from insula.model.sizes import KiB
from insula.network.guestnetwork import card_interface
from insula.service import listing
from insula.service.containers import Remark, unheard
from insula.service.cputuning import CPU
from insula.service.domainlimits import limits_of
from insula.service.events import Event, Events
from insula.service.guest import StartedProgram
from insula.service.host import HostNode
from insula.service.hostdevices import devices_of
from insula.service.images import Images
from insula.service.managed import ManagedDomain
from insula.service.networklife import DeviceFollowing
from insula.service.networks import VirtualNetworks
from insula.service.nwfilters import NetworkFilters
from insula.service.parameters import Parameter
from insula.service.startoptions import Launch, Storage
from insula.service.translate import PidOf
from insula.storage.filesystemmounts import mounts_of
from insula.testing.fakeengine import FakeEngine
from insula.testing.fakefirewall import FakeFirewall
from insula.testing.fakehost import FakeHost
from insula.testing.fakelooker import FakeLooker
from tests.descriptors import listed_fds
from tests.invariants import Shown
from tests.simulation.affects import AFFECT
from tests.simulation.channel import SimulatedChannel
from tests.simulation.documents import DEVICE_XML, devices_in, document, understood
from tests.simulation.fakelinks import FakeLinks
from tests.simulation.loop import SimulatedLoop
from tests.simulation.model import Definition, Run, State, Where
from tests.simulation.networkperformer import SimulatedCardPorts, SimulatedNetworkPerformer
from tests.simulation.networkwatches import SimulatedDeviceWatch, SimulatedNetworkWatch
from tests.simulation.world import World
from tests.unit.service.fakepreparation import FakePreparation

PATIENCE = Patience(lock=30, shutdown=90)


class _Preparation(FakePreparation):
    """Gives guests the devices of their definitions, and plugs their cards into the networks there are."""

    def __init__(self, directory: Path, networks: VirtualNetworks) -> None:
        super().__init__(directory)
        self._networks = networks

    def specify(self, domain: DomainDefinition, pid_of: PidOf, remark: Remark = unheard) -> ContainerSpec:
        spec, actual = super().specify(domain, pid_of, remark), self._networks.plugging()
        cards = enumerate(domain.devices.interfaces)
        return replace(spec, interfaces=tuple(card_interface(card, f"eth{at}", actual) for at, card in cards))

    def require_networks(self, domain: DomainDefinition) -> None:
        actual = self._networks.plugging()
        for each in domain.devices.interfaces:
            actual(each)

    def rehearse(self, domain: DomainDefinition, pid_of: PidOf, *, idmap: IdMap | None = None) -> ContainerSpec:
        spec = super().rehearse(domain, pid_of, idmap=idmap)
        return replace(
            spec, mounts=mounts_of(domain, None), devices=devices_of(domain.devices.host_devices, domain.shown_disks)
        )


class SimulatedDaemon:
    """Alive from its making on. serves: verbs may be asked; events: what it told, in order."""

    def __init__(
        self,
        world: World,
        host: FakeHost,
        *,
        links: FakeLinks,
        layout: Layout,
        host_root: Path,
        keeper_stopped: Callable[[], bool],
    ) -> None:
        self._links = links
        self._world, self._host, self._keeper_stopped = world, host, keeper_stopped
        self._channels: list[SimulatedChannel] = []
        self._stdio = _streams()
        self._before = listed_fds()
        self.loop = SimulatedLoop(world)
        self.serves = False
        self.settled = False
        self.calls: list[asyncio.Task[Any]] = []
        self.failed: Exception | None = None
        """Why it could not begin, and ends."""
        self.events: list[Event] = []
        self._owners: dict[UUID, object] = {}
        """The connections that domains go with."""
        self.program_ends: Counter[str] = Counter()
        """How often the keeper told the end of a program, by its id."""
        self._layout = layout
        self.wiring = self._wired(host_root)
        self.services = self.wiring.services
        self.main = self.begin(self._run(), "main")

    @property
    def alive(self) -> bool:
        return self.loop.alive

    @alive.setter
    def alive(self, alive: bool) -> None:
        self.loop.alive = alive

    def _wired(self, host_root: Path) -> Wiring:
        events = Events()
        events.subscribe(self._heard)
        self._link = KeeperSupervisor(obtain=self._obtain, on_event=self._told, restored=self._restored)
        networks = VirtualNetworks(events=events)
        self.preparation = _Preparation(self._layout.root, networks)
        self.preparation.consoles = 1
        self.looker = FakeLooker(self._host)
        self._engine = FakeEngine(host=self._host, link=self._link, offload=in_own_thread)
        self._engine.connect = self._connected
        return wire(
            layout=self._layout,
            engine=self._engine,
            preparation=self.preparation,
            events=events,
            host=HostNode(root=host_root),
            looker=self.looker,
            patience=PATIENCE,
            images=cast("Images", None),
            networks=networks,
            network_performer=SimulatedNetworkPerformer(self._links),
            card_ports=SimulatedCardPorts(self._links),
            filters=NetworkFilters(),
            firewall=FakeFirewall(),
            daemon_info=dict,
            boot=self._host.boot,
        )

    def _connected(self, spec: ContainerSpec) -> tuple[ConnectedInterface, ...]:
        """Plug a guest in that starts (thread)."""
        return tuple(
            self._links.connect(spec.uuid, each) for each in spec.interfaces if isinstance(each, VethInterface)
        )

    def _watch_links(self) -> DeviceFollowing:
        """Be told by the host of what happens to networks, from now on; return who tells of bridges."""
        networks = SimulatedNetworkWatch(self._world, self.loop, self._links, self.wiring.network_told)
        devices, bridges = (
            SimulatedDeviceWatch(self._world, self.loop, self._links, told)
            for told in (self.services.network_verbs.device_told, self.wiring.card_bridges.told)
        )

        def changed(device: str, there: bool) -> None:
            for each in (devices, bridges):
                each.changed(device, there)
            networks.changed()

        self._links.watched, self._links.ended = changed, lambda _: networks.changed()
        self.wiring.network_life.attend(networks, devices)
        return bridges

    def _heard(self, event: Event) -> None:
        if self.alive:
            self.events.append(event)

    def _obtain(self) -> socket.socket:
        """Connect to the keeper, or start one (thread)."""
        channel = SimulatedChannel(self._world, self, self._host.start_keeper(), self._keeper_stopped)
        self._channels.append(channel)
        return cast("socket.socket", channel)

    def _told(self, event: KeeperEvent) -> None:
        if event.kind is EventKind.EXITED:
            self.services.lifecycle.guest_ended(UUID(event.uuid), ExitStatus(status=event.status))
        else:
            self.program_ends[event.execution] += 1
            self.wiring.process_ended(event.execution, event.status, held=event.held)

    async def _restored(self) -> None:
        await self.wiring.keeper_replaced()

    async def _run(self) -> None:
        """What the daemon does at its start, in its order."""
        try:
            await self._link.start()
            await self.services.guest.inherit()
            await self.wiring.networks.take_stock()
            bridges = self._watch_links()
            await self.wiring.recovery.take_stock()
        except (OSError, InsulaError) as error:
            self.failed = error
            return
        self.serves = True
        networks = self.loop.create_task(self.wiring.networks.take_over(), name="take over networks")
        await self.wiring.recovery.take_over()
        self.wiring.reseating.begin()
        self.services.readiness.begin()
        self.services.health.begin()
        await networks
        self.wiring.card_bridges.attend(bridges)
        self.wiring.guest_names.begin()
        await self.services.boot.start()
        self.settled = True

    def begin(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        return self.loop.create_task(work, name=name)

    def call(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Begin what a client asks for."""
        task = self.begin(work, name)
        self.calls.append(task)
        return task

    async def stop(self) -> None:
        """End politely, as on SIGTERM."""
        self.serves = False
        for call in self.calls:  # as when a session is closed
            call.cancel()
        self.main.cancel()
        await asyncio.gather(self.main, return_exceptions=True)
        await self.wiring.close()
        await self._link.close(quit_keeper=not listing.active(self.services.domains))
        self._engine.close()

    # What it shows

    def running(self) -> set[int]:
        """Return the pids of the guests that are shown as running."""
        return {each.id for each in self.services.domains}

    def shown(self) -> dict[UUID, Shown]:
        """Return every domain as it shows it now."""
        return {
            each.uuid: Shown(
                id=each.id,
                active=each.is_active,
                paused=each.state.state is DomainState.PAUSED,
                persistent=each.is_persistent,
                busy=each.lock.holder,
            )
            for each in self.services.domains
        }

    def state(self, uuid: UUID) -> State:
        """Return what a client can see of a domain."""
        managed = self.services.domains.find(uuid)
        if managed is None:
            return State()
        run = Run.PAUSED if managed.state.state is DomainState.PAUSED else Run.RUNNING
        if not managed.is_active:
            run = Run.OFF if managed.ended_record is None else Run.KEPT
        return State(
            defined=None if managed.config is None else understood(managed.config),
            autostart=managed.autostart,
            run=run,
            live=understood(managed.current) if managed.is_active else None,
            bound=managed.owner is not None,
        )

    def told_limits(self) -> dict[int, tuple[int | None, ...]]:
        """Return what is told of the limits of each guest that runs, by its pid: bytes of memory, and shares."""
        told: dict[int, tuple[int | None, ...]] = {}
        for each in self.services.domains:
            if each.run is not None and each.run.container.described:
                recorded, limits = each.run.container.record.spec.limits, limits_of(each.current)
                told[each.id] = (recorded.memory, limits.memory, recorded.cpu_shares, limits.cpu_shares)
        return told

    def told_devices(self) -> dict[int, tuple[frozenset[str], frozenset[str]]]:
        """Return the devices that are told of each guest that runs, by its pid: by its record, and its definition."""
        return {
            each.id: (
                frozenset(mount.target.removeprefix("/") for mount in each.run.container.record.spec.mounts)
                | {device.guest for device in each.run.container.record.spec.devices},
                devices_in(each.current),
            )
            for each in self.services.domains
            if each.run is not None and each.run.container.described
        }

    def unwritten(self) -> set[UUID]:
        """Return the domains whose run has changed without anything being written of it."""
        return {uuid for uuid, _ in self.wiring.directory._owed}

    # Verbs

    async def define(self, uuid: UUID, name: str, definition: Definition) -> None:
        domain = await self.services.incoming.read(document(uuid, name, definition))
        await self.services.definitions.define(domain)

    async def create(self, uuid: UUID, name: str, definition: Definition, *, paused: bool, bound: bool = False) -> None:
        domain = await self.services.incoming.read(document(uuid, name, definition))
        await self.services.lifecycle.create(domain, Launch(paused=paused, owner=self._owner(uuid, bound=bound)))

    async def undefine(self, uuid: UUID, *, discard: bool = False) -> None:
        await self.services.definitions.undefine(self._of(uuid), Storage.DISCARD if discard else Storage.KEEP)

    async def set_autostart(self, uuid: UUID, on: bool) -> None:
        await self.services.definitions.set_autostart(self._of(uuid), on=on)

    async def start(self, uuid: UUID, *, paused: bool, bound: bool = False) -> None:
        launch = Launch(paused=paused, owner=self._owner(uuid, bound=bound))
        await self.services.lifecycle.start(self._of(uuid), launch)

    def hang_up(self, uuid: UUID) -> Callable[[], Coroutine[Any, Any, None]]:
        """End the connection that a domain is bound to; return what follows once its calls have been given up."""
        owner = self._owners.pop(uuid, object())
        return lambda: self.services.lifecycle.connection_closed(owner)

    async def tune(self, uuid: UUID, where: Where, *, memory: int | None = None, shares: int | None = None) -> None:
        """Change one of both."""
        managed, affect = self._of(uuid), AFFECT[where]
        if memory is not None:
            await self.services.memory.set_memory(managed, KiB(memory * 1024), affect)
        if shares is not None:
            wanted = [Parameter("cpu_shares", ParameterType.ULLONG, shares)]
            await self.services.tuning.set_parameters(managed, CPU, wanted, affect)

    async def equip(self, uuid: UUID, where: Where, device: str, *, there: bool) -> None:
        """Attach a device, or detach it."""
        verb = self.services.devices.attach if there else self.services.devices.detach
        await verb(self._of(uuid), DEVICE_XML[device], AFFECT[where])

    def _owner(self, uuid: UUID, *, bound: bool) -> object | None:
        return self._owners.setdefault(uuid, object()) if bound else None

    async def destroy(self, uuid: UUID) -> None:
        await self.services.lifecycle.destroy(self._of(uuid))

    async def suspend(self, uuid: UUID) -> None:
        await self.services.lifecycle.suspend(self._of(uuid))

    async def resume(self, uuid: UUID) -> None:
        await self.services.lifecycle.resume(self._of(uuid))

    async def shutdown(self, uuid: UUID) -> None:
        await self.services.shutdown.shutdown(self._of(uuid), ShutdownMode.DEFAULT)

    async def reboot(self, uuid: UUID) -> None:
        await self.services.shutdown.reboot(self._of(uuid), ShutdownMode.DEFAULT)

    async def reset(self, uuid: UUID) -> None:
        await self.services.lifecycle.reset(self._of(uuid))

    async def execute(self, uuid: UUID) -> StartedProgram:
        return await self.services.guest.execute(self._of(uuid), Process(argv=("/bin/true",)), stdio=self._stdio)

    def _of(self, uuid: UUID) -> ManagedDomain:
        return self.services.domains.by_uuid(uuid)

    # Its end

    def files(self) -> dict[str, list[str]]:
        """Return what there is of domains on the disk, by its kind."""
        layout = self._layout
        definitions = [each for each in layout.definitions.iterdir() if each != layout.autostart]
        return {
            "runs": [str(each) for each in layout.running.iterdir()],
            "networks": [
                str(each)
                for place in (layout.running_networks, layout.network_definitions, layout.network_autostart)
                for each in place.glob("*")
                if each != layout.network_autostart
            ],
            "definitions": [str(each) for each in (*definitions, *layout.autostart.iterdir())],
            "storage": [str(each) for each in self.preparation.storage.iterdir()],
            "marks": [str(each) for each in self.preparation.marks.iterdir()],
            "ids": [str(each) for each in self.preparation.ids.iterdir()],
        }

    def flush(self) -> None:
        """Let the keeper take in what it was sent while it was stopped."""
        for channel in self._channels:
            channel.flush()

    def bury(self) -> None:
        """Let the kernel take back what a process had that is gone."""
        self._links.watched = self._links.ended = None
        self.loop.end()
        for channel in self._channels:
            channel.hang_up()
        on_their_way = {fd for channel in self._channels for fd in channel.fds()}
        self.leaked = listed_fds() - self._before - self._host.fds() - on_their_way
        """What it still had open when it ended."""
        for fd in self.leaked:
            os.close(fd)
        self._host.settle()


@cache
def _streams() -> tuple[Fd, Fd, Fd]:
    """Return what programs in guests may have as their streams: both ends of a pipe that stays for all walks."""
    read, write = os.pipe2(os.O_CLOEXEC)
    return Fd(read), Fd(write), Fd(write)
