"""Which service stands on which: the one place where the services are put together."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from insula.daemon.incomingcall import Services
from insula.daemon.memorysettings import NO_CARE, MemorySettings
from insula.engine.console.consolelog import USUAL_LIMITS, LogLimits
from insula.engine.launch.runningcontainer import boot_id
from insula.kernel.cgroups.oomnotices import OomNotices
from insula.kernel.kernellog import KernelLog
from insula.kernel.uevents import plug_events, processor_events
from insula.layout import Layout
from insula.model.sizes import KiB
from insula.network.virtual.networkwatch import NetworkEvent
from insula.network.virtual.performer import NetworkPerformer
from insula.service.autostart import MARK, Autostart
from insula.service.bootsequence import BootSequence
from insula.service.cardbridges import CardBridges, CardPorts
from insula.service.channels import ChannelVerbs
from insula.service.consolereaders import ConsoleReaders
from insula.service.consoles import ConsoleVerbs
from insula.service.containers import ContainerEngine, Looking, Preparation
from insula.service.conversions import ConversionVerbs
from insula.service.coredumps import CoreDumpVerbs
from insula.service.daemondoctor import DaemonDoctor
from insula.service.defining import DefinitionVerbs
from insula.service.definitionchanges import DefinitionChanges
from insula.service.devicechanges import DeviceVerbs
from insula.service.deviceoffers import DeviceOffers
from insula.service.deviceusers import DeviceUsers
from insula.service.disks import DiskVerbs
from insula.service.documents import Documents
from insula.service.domains import FORM, Domains, definitions_of
from insula.service.events import Events
from insula.service.explaining import ExplainVerbs
from insula.service.guarantees import Guarantees
from insula.service.guest import GuestVerbs
from insula.service.guestaccess import AccessVerbs
from insula.service.guestbuses import GuestBuses
from insula.service.guestfilesystems import GuestFilesystemVerbs
from insula.service.guesthealth import GuestHealth
from insula.service.guestmessages import GuestMessages, launch_of
from insula.service.guestreadiness import GuestReadiness
from insula.service.guestsystem import GuestSystemVerbs, ReadView
from insula.service.guestvisits import GuestVisits
from insula.service.hardwarewatch import HardwareWatch
from insula.service.helperrevival import HelperRevival
from insula.service.host import HostNode
from insula.service.idlereclaim import IdleReclaim
from insula.service.images import Images
from insula.service.impact import Changes
from insula.service.incoming import IncomingDocuments
from insula.service.incomingnetworks import IncomingNetworks
from insula.service.interfacetuning import InterfaceTuningVerbs
from insula.service.lifecycle import END_PATIENCE, LifecycleVerbs
from insula.service.lifecycleactions import LifecycleActionVerbs
from insula.service.livedevices import LiveDevices
from insula.service.livegrants import LiveGrants
from insula.service.liveinterfaces import LiveInterfaces
from insula.service.memoryjobs import MemoryJobs
from insula.service.memorytuning import MemoryVerbs
from insula.service.metadata import MetadataVerbs
from insula.service.namesonnetworks import GuestNames
from insula.service.networklife import NetworkLife
from insula.service.networkoffers import NetworkOffers
from insula.service.networkports import devices_in_use, host_ends
from insula.service.networkruns import NetworkRuns
from insula.service.networks import NETWORK_FORM, NETWORKS_MARK, VirtualNetworks, network_definitions
from insula.service.networksettling import NetworkSettling
from insula.service.networkverbs import NetworkVerbs
from insula.service.nwfilters import FilteringFirewall, FilterVerbs, NetworkFilters, filter_definitions
from insula.service.oomwatch import OomWatch
from insula.service.partitions import BELOW_MACHINE, Partitions
from insula.service.pastruns import PastRuns
from insula.service.planning import PlanVerbs
from insula.service.probing import Probing
from insula.service.processes import ProcessVerbs
from insula.service.recovery import Recovery
from insula.service.reseating import Reseating
from insula.service.rundirectory import RunDirectory
from insula.service.runs import Runs
from insula.service.seating import Seating
from insula.service.shutdown import TIME_LIMIT, ShutdownVerbs
from insula.service.statelock import LOCK_PATIENCE
from insula.service.stoppedscopes import StoppedScopes
from insula.service.tuning import TuningVerbs
from insula.service.usbchoice import UsbChoice
from insula.service.usbfollowing import UsbFollowing
from insula.service.vcpuverbs import VcpuVerbs


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """Seconds: for another verb on the same domain, for a guest that was asked to stop, for all verbs at the end."""

    lock: float = LOCK_PATIENCE
    shutdown: float = TIME_LIMIT
    end: float = END_PATIENCE


@dataclass(frozen=True, kw_only=True, slots=True)
class Wiring:
    """The services, and what only the daemon itself does with them."""

    services: Services
    recovery: Recovery
    networks: NetworkSettling
    network_life: NetworkLife
    guest_names: GuestNames
    helper_revival: HelperRevival
    card_bridges: CardBridges
    oom_watch: OomWatch | None
    idle_reclaim: IdleReclaim | None
    reseating: Reseating
    stopped_scopes: StoppedScopes
    usb_following: UsbFollowing
    directory: RunDirectory
    patience: Patience
    subscribed: tuple[Callable[[], None], ...]
    """What ends the subscription of each of those that watch guests."""

    def watch_memory(self) -> None:
        """Look at the memory of guests, all of which are known now."""
        if self.oom_watch is not None:
            self.oom_watch.begin()
        if self.idle_reclaim is not None:
            self.idle_reclaim.begin()

    async def keeper_replaced(self) -> None:
        """Give the guests to a keeper that has just begun, because the one before died."""
        await self.recovery.keeper_replaced()
        await self.services.guest.keeper_replaced()

    def hardware_watches(self) -> list[HardwareWatch]:
        """Return what tells the services of hardware that comes and goes, made in the running event loop."""
        return [
            HardwareWatch(processor_events, "processors", self.reseating.processors_changed),
            HardwareWatch(plug_events, "devices", self.usb_following.soon),
        ]

    def network_told(self, uuid: str, event: NetworkEvent) -> None:
        """Take the watch's word of what happened to a network. Returns at once."""
        networks = self.services.network_verbs
        match event:
            case NetworkEvent.DAMAGED:
                self.services.networks.tasks.begin(networks.mend(UUID(uuid)), f"mend network {uuid}")
            case NetworkEvent.LEASES:
                pass  # they are read when somebody asks

    def process_ended(self, identity: str, status: int | None, *, held: bool = True) -> None:
        """Take the keeper's word that a program put into a guest is gone. Returns at once.

        held: whether the keeper is to be told to forget it.
        """
        self.services.guest.process_ended(identity, status)
        if held:
            self.services.lifecycle.spawn(self.services.guest.forget(identity), f"end of program {identity}")

    async def close(self) -> None:
        """Let what is under way come to its end, if that does not take too long. Guests stay.

        A start that ends meanwhile is told to none of those that watch guests: they have closed what they watch by.
        """
        for unsubscribe in self.subscribed:
            unsubscribe()
        self.stopped_scopes.close()
        self.services.shutdown.close()
        self.services.readiness.close()
        self.services.health.close()
        for managed in self.services.domains:
            if managed.lock.job is not None:
                managed.lock.job.abort("the end of insulad")
        self.guest_names.close()
        if self.oom_watch is not None:
            self.oom_watch.close()
        self.usb_following.close()
        if self.idle_reclaim is not None:
            await self.idle_reclaim.close()
        await self.reseating.close(self.patience.end)
        await self.recovery.close()
        await self.services.lifecycle.close(self.patience.end)
        await self.services.networks.tasks.ended(self.patience.end)
        await self.services.filters.tasks.ended(self.patience.end)
        self.directory.pay()
        self.services.documents.close()


def wire(
    *,
    layout: Layout,
    engine: ContainerEngine,
    preparation: Preparation,
    events: Events,
    host: HostNode,
    looker: Looking,
    images: Images,
    networks: VirtualNetworks,
    network_performer: NetworkPerformer,
    card_ports: CardPorts,
    filters: NetworkFilters,
    firewall: FilteringFirewall,
    daemon_info: Callable[[], dict[str, Any]],
    patience: Patience = Patience(),
    confine_vcpus: bool = True,
    memory: MemorySettings = NO_CARE,
    partitions: Partitions = BELOW_MACHINE,
    log_limits: LogLimits = USUAL_LIMITS,
    boot: str | None = None,
    oom_notices: OomNotices[UUID] | None = None,
    kernel_log: KernelLog | None = None,
    older_keepers: Callable[[], list[int]] = list,
    read_view: ReadView | None = None,
    tell_guest: Callable[[str, str], None] = lambda launch, text: None,
) -> Wiring:
    """Return the services over an engine.

    preparation: makes files and ids ready for it; looker: looks into guests; networks: the registry, still empty;
    card_ports: guests' ends on this host; filters: the registry, with the built-in ones; firewall: where they stand;
    confine_vcpus: whether domains that do not say so are held to their number of virtual processors; log_limits: how
    large consoles' logs become;
    memory: what is done about that of all guests together;
    boot: the id of the host's present boot, None to ask the kernel; oom_notices: tell of kills for want of memory, None
    where nobody is to; kernel_log: says who was killed, None where it cannot be read; older_keepers: versions of those
    of earlier daemons that are still there; read_view: reads what guests read of their machines; tell_guest: writes a
    line into the kernel log of the guest of a launch, if it has one of its own.
    """
    this_boot, directory = boot or boot_id(), RunDirectory(layout)
    definitions, documents, domains = (
        definitions_of(layout),
        Documents(),
        Domains(patience=patience.lock, events=events),
    )
    usb = UsbChoice(domains)
    runs = Runs(
        engine=engine,
        directory=directory,
        past=PastRuns(layout.ends),
        preparation=preparation,
        pid_of=domains.pid_of,
        readers=ConsoleReaders(engine=engine, directory=directory, logs=layout.logs, limits=log_limits),
        boot_id=this_boot,
        seating=Seating(topology=host.topology, hierarchies=lambda: engine.facts.hierarchies, confine=confine_vcpus),
        usb=usb,
        guarantees=Guarantees(
            domains,
            memory=None if memory.guaranteed_reserve is None else KiB(host.node_info().memory),
            reserve=memory.guaranteed_reserve or KiB(0),
        ),
    )
    reseating = Reseating(registry=domains, runs=runs, seating=runs.seating)
    subscribed = [events.subscribe(reseating.heard), events.subscribe(runs.guarantees.heard)]
    lifecycle = LifecycleVerbs(registry=domains, runs=runs)
    changed = DefinitionChanges(FORM.word, definitions)
    defining = DefinitionVerbs(registry=domains, definitions=changed, runs=runs, events=events)
    changes = Changes(definitions=defining, runs=runs, documents=documents)
    grants = LiveGrants(preparation.grants, looker)
    interfaces = LiveInterfaces(engine, preparation)
    devices = LiveDevices(engine, runs, interfaces, grants, DeviceUsers(looker), usb)
    usb_following = UsbFollowing(domains=domains, runs=runs, devices=devices, choice=usb, events=events)
    kept_networks, network_runs = network_definitions(layout), NetworkRuns(layout.running_networks)
    networks.count(partial(devices_in_use, domains))
    network_life = NetworkLife(
        registry=networks,
        runs=network_runs,
        performer=network_performer,
        ports=partial(host_ends, domains),
        boot_id=this_boot,
    )
    guest_names = GuestNames(domains=domains, networks=networks, performer=network_performer)
    card_bridges = CardBridges(domains=domains, networks=networks, ports=card_ports)
    subscribed.append(events.subscribe(guest_names.heard))
    helper_revival = HelperRevival(domains=domains, engine=engine, runs=runs)
    subscribed.append(events.subscribe(helper_revival.heard))
    subscribed.append(events.subscribe(card_bridges.heard))
    oom_watch: OomWatch | None = None
    if oom_notices is not None:
        oom_watch = OomWatch(domains=domains, events=events, notices=oom_notices, log=kernel_log)
        subscribed.append(events.subscribe(oom_watch.heard))
    subscribed.append(events.subscribe(GuestMessages(partial(launch_of, domains), tell_guest).heard))
    guest, visits = GuestVerbs(engine, domains), GuestVisits(looker)
    guest_filesystems = GuestFilesystemVerbs(visits, lifecycle)
    readiness = GuestReadiness(registry=domains, runs=runs, probing=Probing(guest, visits))
    subscribed.append(events.subscribe(readiness.heard))
    shutdown = ShutdownVerbs(runs=runs, looker=looker, time_limit=patience.shutdown)
    health = GuestHealth(
        registry=domains,
        runs=runs,
        probing=readiness.probing,
        lifecycle=lifecycle,
        shutdown=shutdown,
        events=events,
    )
    subscribed.append(events.subscribe(health.heard))
    services = Services(
        domains=domains,
        documents=documents,
        incoming=IncomingDocuments(
            documents=documents,
            registry=domains,
            partitions=partitions,
            architectures=host.architectures(),
            vcpus=host.maximum_vcpus,
        ),
        conversions=ConversionVerbs(documents=documents, vcpus=host.maximum_vcpus),
        access=AccessVerbs(engine, preparation, looker),
        definitions=defining,
        lifecycle=lifecycle,
        boot=BootSequence(
            registry=domains,
            lifecycle=lifecycle,
            definitions=defining,
            autostart=Autostart(layout.run / MARK, this_boot, word=FORM.word),
            readiness=readiness,
        ),
        readiness=readiness,
        health=health,
        shutdown=shutdown,
        planning=PlanVerbs(engine=engine, preparation=preparation, pid_of=domains.pid_of),
        tuning=TuningVerbs(changes=changes, events=events),
        interface_tuning=InterfaceTuningVerbs(changes=changes, guests=devices, actual=networks.actual),
        vcpus=VcpuVerbs(changes=changes, reseating=reseating, events=events),
        memory=MemoryVerbs(changes=changes, events=events, jobs=MemoryJobs(changes=changes, runs=runs, events=events)),
        metadata=MetadataVerbs(changes=changes, events=events, guests=devices),
        lifecycle_actions=LifecycleActionVerbs(changes=changes),
        core_dumps=CoreDumpVerbs(lifecycle=lifecycle, looker=looker, events=events),
        disks=DiskVerbs(),
        device_offers=DeviceOffers(preparation.grants),
        devices=DeviceVerbs(changes=changes, documents=documents, guests=devices, events=events),
        guest=guest,
        explaining=ExplainVerbs(guest=guest, looker=looker),
        doctor=DaemonDoctor(layout=layout, leftovers=runs.leftovers, older_keepers=older_keepers),
        guest_system=GuestSystemVerbs(guest, guest_filesystems, visits, GuestBuses(visits), read_view),
        guest_filesystems=guest_filesystems,
        processes=ProcessVerbs(looker),
        consoles=ConsoleVerbs(runs),
        channels=ChannelVerbs(),
        host=host,
        events=events,
        images=images,
        networks=networks,
        network_verbs=NetworkVerbs(
            registry=networks,
            definitions=DefinitionChanges(NETWORK_FORM.word, kept_networks),
            life=network_life,
            events=events,
        ),
        network_offers=NetworkOffers(networks),
        incoming_networks=IncomingNetworks(documents),
        filters=FilterVerbs(filters, filter_definitions(layout), firewall, documents, domains),
        daemon_info=daemon_info,
    )
    recovery = Recovery(
        registry=domains,
        definitions=definitions,
        directory=directory,
        engine=engine,
        runs=runs,
        preparation=preparation,
        lifecycle=lifecycle,
        shutdown=services.shutdown,
        devices=devices,
        reseating=reseating,
        boot_id=this_boot,
    )
    settling = NetworkSettling(
        registry=networks,
        definitions=kept_networks,
        runs=network_runs,
        performer=network_performer,
        life=network_life,
        autostart=Autostart(layout.run / NETWORKS_MARK, this_boot, word=NETWORK_FORM.word),
        boot_id=this_boot,
    )
    return Wiring(
        services=services,
        recovery=recovery,
        networks=settling,
        network_life=network_life,
        guest_names=guest_names,
        helper_revival=helper_revival,
        card_bridges=card_bridges,
        oom_watch=oom_watch,
        idle_reclaim=None
        if memory.idle is None
        else IdleReclaim(
            registry=domains, settings=memory.idle, possible="memory" in engine.facts.hierarchies.v2_controllers
        ),
        reseating=reseating,
        stopped_scopes=StoppedScopes(registry=domains, lifecycle=lifecycle, shutdown=shutdown, events=events),
        usb_following=usb_following,
        directory=directory,
        patience=patience,
        subscribed=tuple(subscribed),
    )
