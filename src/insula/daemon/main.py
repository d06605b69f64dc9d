"""insulad: the process, from its lock to its end.

It listens first, so that clients wait instead of being refused, then finds out what runs, then answers. SIGTERM and
SIGINT end it and leave guests running; SIGHUP reads the settings again.
"""

import argparse
import asyncio
import gc
import logging
import os
import signal
import time
from collections.abc import Coroutine, Sequence
from typing import Any
from uuid import UUID

from insula.daemon.activation import PassedSocket, notify, passed_sockets
from insula.daemon.afar.certificates import Certificates
from insula.daemon.auditrecorder import AuditRecorder
from insula.daemon.authority.policy import policy_of
from insula.daemon.config import Settings, load
from insula.daemon.descriptors import Limits, raise_limit, reserved
from insula.daemon.dispatch.hostcalls import LIBVIRT_VERSION
from insula.daemon.garbage import unsearched
from insula.daemon.generations import KeeperGenerations
from insula.daemon.idle import IdleWatch
from insula.daemon.listener import Endpoint, EndpointKind, close_endpoints, lasts, open_endpoints
from insula.daemon.logs import start_logging
from insula.daemon.metricsserver import MetricsServer, metrics_server
from insula.daemon.obtainedkeepers import obtain_keeper_of, older_keepers_of
from insula.daemon.reloading import tell_unapplied
from insula.daemon.server import Server, capacity_of, session_limits
from insula.daemon.viewlink import ViewSupervisor, obtain_view_of
from insula.daemon.wiring import Patience, wire
from insula.engine.exitstatus import ExitStatus
from insula.engine.facts import Facts
from insula.engine.hostshortcomings import detected, shortcomings
from insula.engine.keeper.link import KeeperEvent
from insula.engine.keeper.protocol import EventKind
from insula.engine.keeper.startup import ENDS
from insula.engine.launch.launcher import Launcher
from insula.engine.look.accountlook import find_through, remembering
from insula.engine.look.looking import Looker
from insula.engine.securitymodule import unready
from insula.engine.threads import in_own_thread
from insula.errors import ConfigurationError
from insula.kernel.cgroups import remove_empty_partitions
from insula.kernel.cgroups.oomnotices import OomNotices
from insula.kernel.mountinfo import mountinfo_of
from insula.layout import Layout
from insula.network.devicewatch import DeviceWatch
from insula.network.firewall.coexistence import Coexistence
from insula.network.firewall.firewall import Firewall, table_of
from insula.network.firewall.rulewatch import RuleWatch
from insula.network.guestports import GuestPorts
from insula.network.netlink import NetlinkPerformer
from insula.network.processwatch import ProcessWatch
from insula.network.virtual.hostnetworks import HostNetworkPerformer, NetworkPlaces
from insula.network.virtual.networkwatch import NetworkWatch
from insula.service import listing
from insula.service.audittrail import AuditTrail
from insula.service.events import Events
from insula.service.hardwarewatch import HardwareWatch
from insula.service.host import HostNode
from insula.service.images import Images
from insula.service.networks import VirtualNetworks
from insula.service.nwfilters import NetworkFilters
from insula.service.oomwatch import kernel_log
from insula.service.partitions import Partitions
from insula.service.preparation import HostPreparation
from insula.service.tasks import BackgroundTasks, tell_failure
from insula.storage.idpools import pools as usual_pools
from insula.storage.imagestore import ImageStore

_logger = logging.getLogger("insula.daemon")


def serve(layout: Layout, options: argparse.Namespace, missing: Sequence[str]) -> int:
    """Serve a prefix, of which this process has the lock, until told to stop; return the exit status.

    missing: the directories that could not be made, in words. Raises: InsulaError if it cannot even begin.
    """
    settings = load(layout, options.config)
    start_logging("debug" if options.verbose else settings.log_level)
    for each in missing:
        _logger.error("%s", each)
    facts = detected()
    unready()  # the first guest need not wait for its profile
    for text in shortcomings(facts, mountinfo_of()):
        _logger.warning("%s", text)
    return asyncio.run(Daemon(layout, settings, options, raise_limit(), facts).run(passed_sockets()))


class Daemon:
    """All rooms together, for one run. limits: what keepers begin with; facts: of the host."""

    def __init__(
        self, layout: Layout, settings: Settings, options: argparse.Namespace, limits: Limits, facts: Facts
    ) -> None:
        self._limits = limits
        self._layout = layout
        self._settings = self._begun_with = settings
        self._options = options
        self._began = time.time()
        self._stopping = asyncio.Event()
        self._keeper = KeeperGenerations(
            obtain=lambda: obtain_keeper_of(layout, facts.manager, limits[0]),
            older=lambda: older_keepers_of(layout),
            on_event=self._keeper_told,
            restored=self._keeper_replaced,
        )
        self._view = ViewSupervisor(lambda: obtain_view_of(layout, facts.manager))
        self._tasks = BackgroundTasks()
        self._events = Events()
        self._looker = Looker()
        filters = NetworkFilters()
        others = Coexistence(table_of(layout.root), _logger.warning, mends=settings.mend_other_firewalls)
        firewall = self._firewall = Firewall(table_of(layout.root), filters.definition, others)
        self._launcher = Launcher(
            facts=facts,
            link=self._keeper,
            interfaces=NetlinkPerformer(firewall),
            offload=in_own_thread,
            installation=str(layout.root),
            reserve=reserved(),
            find_account=remembering(find_through(self._looker)),
            entering=self._keeper.newest,
            unattended=self._begin,
            keeper_ends=layout.run / ENDS,
            stops_told=True,
            views=self._view,
        )
        host, store, networks = HostNode(), ImageStore(layout), VirtualNetworks(events=self._events)
        self._wiring = wire(
            layout=layout,
            engine=self._launcher,
            preparation=_preparation(layout, store, settings, networks),
            partitions=Partitions(allowed=settings.partitions),
            events=self._events,
            host=host,
            looker=self._looker,
            images=Images(store, self._names),
            networks=networks,
            network_performer=_performer(layout, firewall),
            card_ports=GuestPorts(),
            filters=filters,
            firewall=firewall,
            daemon_info=self._describe,
            patience=Patience(shutdown=settings.shutdown_timeout),
            oom_notices=OomNotices(),
            kernel_log=kernel_log(),
            read_view=self._view.read,
            older_keepers=lambda: self._keeper.older_versions,
            confine_vcpus=settings.confine_vcpus,
            memory=settings.memory,
            log_limits=settings.console_log,
            tell_guest=self._view.tell,
        )
        self._services = self._wiring.services
        self._audit = AuditRecorder(level=settings.audit_level, logged=settings.audit_logging)
        self._audit_trail = AuditTrail(domains=self._services.domains, recorder=self._audit)
        self._audit_trail.attend(self._events)
        self._server: Server | None = None
        self._reload_due = False
        self._certificates: Certificates | None = None
        self._metrics: MetricsServer | None = None
        self._idle: IdleWatch | None = None
        self._network_watch: NetworkWatch | None = None
        self._device_watches: list[DeviceWatch] = []
        self._rule_watch: RuleWatch | None = None
        self._hardware_watches: list[HardwareWatch] = []
        self._helper_watch: ProcessWatch | None = None

    async def run(self, passed: Sequence[PassedSocket]) -> int:
        """Serve until told to stop. Raises: InsulaError if it cannot even begin."""
        self._listen_to_signals()  # before any client sees that we are there, and may have us read our settings again
        policy = policy_of(self._settings)
        endpoints = open_endpoints(self._settings, passed)
        try:
            if any(each.kind is EndpointKind.TLS for each in endpoints):
                self._certificates = Certificates(self._settings.remote.tls)
            await self._keeper.start()
            self._view.prepare(wanted=self._settings.machine_view and bool(self._launcher.facts.viewed))
            await self._services.guest.inherit()
            await self._services.filters.take_stock()
            await self._wiring.networks.take_stock()
            self._network_watch = NetworkWatch(self._wiring.network_told)
            self._rule_watch = RuleWatch(self._firewall, _logger.warning)
            devices, bridges = (
                DeviceWatch(told) for told in (self._services.network_verbs.device_told, self._wiring.card_bridges.told)
            )
            self._device_watches += (devices, bridges)
            self._wiring.network_life.attend(self._network_watch, devices)
            self._hardware_watches += self._wiring.hardware_watches()
            with unsearched():  # a thousand domains are made, before anybody is served
                await self._wiring.recovery.take_stock()
            await self._services.guest.end_probes()
            self._audit_trail.take_stock()
            self._server = Server(
                endpoints,
                services=self._services,
                limits=session_limits(self._settings),
                capacity=capacity_of(self._settings, self._limits[1]),
                policy=policy,
                changed=self._look_whether_idle,
                certificates=self._certificates,
            )
            self._server.start()
            if self._reload_due:
                self._reload()
            await self._tell_metrics()
            notify("READY=1")
            _logger.info("serves %s", ", ".join(str(each) for each in endpoints))
            starting = asyncio.create_task(self._take_over(), name="taking over")
            starting.add_done_callback(tell_failure)
            self._watch_idleness(lasting=self._settings.metrics is not None or lasts(endpoints, passed))
            await self._stopping.wait()
            notify("STOPPING=1")
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
        finally:
            await self._end(endpoints)
            policy.close()
            self._audit.close()
        return 0

    async def _take_over(self) -> None:
        """Take over what runs while clients are served, then start what starts with the host."""
        networks = asyncio.create_task(self._wiring.networks.take_over(), name="taking over networks")
        await self._wiring.recovery.take_over()
        await networks  # before guests start that are plugged into them
        self._wiring.card_bridges.attend(self._device_watches[-1])
        self._wiring.guest_names.begin()
        self._wiring.watch_memory()
        self._wiring.reseating.begin()
        self._wiring.usb_following.begin()
        self._services.readiness.begin()
        self._services.health.begin()
        self._helper_watch = ProcessWatch(self._wiring.helper_revival.ended)
        self._wiring.helper_revival.attend(self._helper_watch)
        self._wiring.stopped_scopes.begin(self._launcher.facts.manager, self._launcher.scope_stopped)
        _logger.info("everything is taken over from the insulad before")
        gc.freeze()  # what start-up made stays: never look at it again
        await self._services.boot.start()

    async def _end(self, endpoints: Sequence[Endpoint]) -> None:
        """Let go of everything; guests stay, and a keeper without any ends with us."""
        if self._idle is not None:
            self._idle.cancel()
        if self._server is not None:
            await self._server.stop()
        if self._metrics is not None:
            await self._metrics.close()
        if self._network_watch is not None:
            self._network_watch.close()
        for each in self._device_watches:
            each.close()
        if self._rule_watch is not None:
            self._rule_watch.close()
        for watch in self._hardware_watches:
            watch.close()
        if self._helper_watch is not None:
            self._helper_watch.close()
        await self._wiring.close()
        await self._looker.close()
        running = listing.active(self._services.domains)
        await self._view.close(quit_view=not running)
        await self._keeper.close(quit_keeper=not running)
        if not running:
            remove_empty_partitions(self._launcher.facts.hierarchies)
        self._launcher.close()
        close_endpoints(endpoints)
        _logger.info("ended; %s", "guests go on running" if running else "no guests were running")

    async def _tell_metrics(self) -> None:
        services = self._services
        self._metrics = await metrics_server(self._settings.metrics, services.domains, services.disks, _own_version())

    # What happens meanwhile

    async def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.begin(work, "tell the keeper")

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload)

    def _reload(self) -> None:
        """Read the settings again: who may do what holds from now on, what else concerns clients for new ones."""
        if self._server is None:
            self._reload_due = True  # once there is one
            return
        try:
            settings = load(self._layout, self._options.config)
            renew = self._server.renewal(settings, capacity_of(settings, self._limits[1]))
            if self._certificates is not None:
                self._certificates.reload(settings.remote.tls)
        except ConfigurationError as error:
            _logger.error("the settings stay as they were: %s", error)
            return
        renew()
        tell_unapplied(self._begun_with, settings)
        self._settings = settings
        if not self._options.verbose:
            start_logging(settings.log_level)
        _logger.info("the settings were read again")

    def _keeper_told(self, event: KeeperEvent) -> None:
        if event.kind is EventKind.EXITED:
            self._services.lifecycle.guest_ended(UUID(event.uuid), ExitStatus(status=event.status))
        else:
            self._wiring.process_ended(event.execution, event.status, held=event.held)

    async def _keeper_replaced(self) -> None:
        await self._wiring.keeper_replaced()

    def _watch_idleness(self, *, lasting: bool) -> None:
        """lasting: whether somebody may want us whom nothing would start us for."""
        if self._options.timeout is not None and lasting:
            _logger.info("nobody would start insulad for clients of a port of its own: it does not end when idle")
        elif self._options.timeout is not None:
            self._idle = IdleWatch(self._options.timeout, is_idle=self._is_idle, stop=self._go_unless_needed)
            self._events.subscribe(lambda _: self._look_whether_idle())
        self._look_whether_idle()

    def _look_whether_idle(self) -> None:
        if self._idle is not None:
            self._idle.look()

    def _go_unless_needed(self) -> None:
        """End, unless a client has come in the last moment: it then tells us when it goes, and we look again."""
        if self._server is None or self._server.close_door():
            self._stopping.set()

    def _is_idle(self) -> bool:
        no_clients = self._server is None or not self._server.clients
        networks = any(each.is_active for each in self._services.networks)
        return no_clients and not networks and not listing.active(self._services.domains)

    def _names(self) -> dict[UUID, str]:
        return {each.uuid: each.name for each in self._services.domains}

    def _describe(self) -> dict[str, Any]:
        """What DAEMON_INFO tells."""
        facts = self._launcher.facts
        return {
            "version": _own_version(),
            "libvirt_version": LIBVIRT_VERSION,
            "pid": os.getpid(),
            "began": self._began,
            "prefix": str(self._layout.root),
            "keeper": {"pid": self._keeper.keeper_pid, "restarts": self._keeper.restarts},
            "clients": 0 if self._server is None else self._server.clients,
            "domains": {"defined": len(self._services.domains), "running": listing.active(self._services.domains)},
            "host": {"kernel": facts.kernel, "cgroups": facts.hierarchies.mode.value},
        }


def _own_version() -> str:
    from importlib.metadata import version  # a twentieth of all imports, for those who ask

    return version("insula")


def _preparation(layout: Layout, store: ImageStore, settings: Settings, networks: VirtualNetworks) -> HostPreparation:
    ids, partitions = settings.ids, Partitions(allowed=settings.partitions)
    pools = usual_pools if ids is None else lambda: [range(ids.first, ids.first + ids.count)]
    plugging, view = networks.plugging, settings.machine_view
    return HostPreparation(layout, store, pools=pools, partitions=partitions, plugging=plugging, machine_view=view)


def _performer(layout: Layout, firewall: Firewall) -> HostNetworkPerformer:
    places = NetworkPlaces(running=layout.running_networks, leases=layout.leases)
    return HostNetworkPerformer(table_of(layout.root), places, firewall)
