"""insulad: the process, from its lock to its end.

It listens first, so that clients wait instead of being refused, then finds out what runs, then answers. SIGTERM and
SIGINT end it and leave guests running; SIGHUP reads the settings again.
"""

import argparse
import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import time
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from insula.daemon.activation import PassedSocket, notify, passed_sockets
from insula.daemon.config import Settings, load
from insula.daemon.descriptors import Limits, raise_limit, reserved
from insula.daemon.dispatch.hostcalls import LIBVIRT_VERSION
from insula.daemon.generations import KeeperGenerations
from insula.daemon.idle import IdleWatch
from insula.daemon.listener import Endpoint, close_endpoints, open_endpoints
from insula.daemon.logs import keeper_log, start_logging
from insula.daemon.server import Capacity, Server
from insula.daemon.session import SessionLimits
from insula.daemon.wiring import Patience, wire
from insula.engine.exitstatus import ExitStatus
from insula.engine.facts import Facts
from insula.engine.hostshortcomings import detected, shortcomings
from insula.engine.keeper.dialects import FORMER_VERSIONS
from insula.engine.keeper.link import KeeperEvent
from insula.engine.keeper.protocol import VERSION, EventKind
from insula.engine.keeper.startup import connect, spawn_keeper
from insula.engine.launch.launcher import Launcher
from insula.engine.look.accountlook import find_through, remembering
from insula.engine.look.looking import Looker
from insula.engine.threads import in_own_thread
from insula.errors import ConfigurationError, KeeperError
from insula.kernel.cgroups import remove_empty_partitions
from insula.layout import Layout
from insula.network.netlink import NetlinkPerformer
from insula.service import listing
from insula.service.events import Events
from insula.service.host import HostNode
from insula.service.images import Images
from insula.service.partitions import Partitions
from insula.service.preparation import HostPreparation
from insula.service.tasks import BackgroundTasks, tell_failure
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
    for text in shortcomings(facts, Path("/proc/self/mountinfo").read_text()):
        _logger.warning("%s", text)
    return asyncio.run(Daemon(layout, settings, options, raise_limit(), facts).run(passed_sockets()))


class Daemon:
    """All rooms together, for one run. limits: what keepers begin with; facts: of the host."""

    def __init__(
        self, layout: Layout, settings: Settings, options: argparse.Namespace, limits: Limits, facts: Facts
    ) -> None:
        self._limits = limits
        self._layout = layout
        self._settings = settings
        self._options = options
        self._began = time.time()
        self._stopping = asyncio.Event()
        self._keeper = KeeperGenerations(
            obtain=self._obtain_keeper,
            older=self._older_keepers,
            on_event=self._keeper_told,
            restored=self._keeper_replaced,
        )
        self._tasks = BackgroundTasks()
        self._events = Events()
        self._looker = Looker()
        self._launcher = Launcher(
            facts=facts,
            link=self._keeper,
            interfaces=NetlinkPerformer(),
            offload=in_own_thread,
            installation=str(layout.root),
            reserve=reserved(),
            find_account=remembering(find_through(self._looker)),
            entering=self._keeper.newest,
            unattended=self._begin,
        )
        host, store = HostNode(), ImageStore(layout)
        self._wiring = wire(
            layout=layout,
            engine=self._launcher,
            preparation=_preparation(layout, store, settings),
            partitions=Partitions(allowed=settings.partitions),
            events=self._events,
            host=host,
            looker=self._looker,
            images=Images(store, self._names),
            daemon_info=self._describe,
            patience=Patience(shutdown=settings.shutdown_timeout),
        )
        self._services = self._wiring.services
        self._server: Server | None = None
        self._idle: IdleWatch | None = None

    async def run(self, passed: Sequence[PassedSocket]) -> int:
        """Serve until told to stop. Raises: InsulaError if it cannot even begin."""
        self._listen_to_signals()  # before any client sees that we are there, and may have us read our settings again
        endpoints = open_endpoints(self._settings, passed)
        try:
            await self._keeper.start()
            await self._services.guest.inherit()
            await self._wiring.recovery.take_stock()
            self._server = Server(
                endpoints,
                services=self._services,
                limits=_session_limits(self._settings),
                capacity=self._capacity(self._settings),
                changed=self._look_whether_idle,
            )
            self._server.start()
            notify("READY=1")
            _logger.info("serves %s", ", ".join(str(each.path) for each in endpoints))
            starting = asyncio.create_task(self._take_over(), name="taking over")
            starting.add_done_callback(tell_failure)
            self._watch_idleness()
            await self._stopping.wait()
            notify("STOPPING=1")
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
        finally:
            await self._end(endpoints)
        return 0

    async def _take_over(self) -> None:
        """Take over what runs while clients are served, then start what starts with the host."""
        await self._wiring.recovery.take_over()
        _logger.info("everything is taken over from the insulad before")
        gc.freeze()  # what start-up made stays: never look at it again
        await self._services.lifecycle.start_autostarted()

    async def _end(self, endpoints: Sequence[Endpoint]) -> None:
        """Let go of everything; guests stay, and a keeper without any ends with us."""
        if self._idle is not None:
            self._idle.cancel()
        if self._server is not None:
            await self._server.stop()
        await self._wiring.close()
        await self._looker.close()
        running = listing.active(self._services.domains)
        await self._keeper.close(quit_keeper=not running)
        if not running:
            remove_empty_partitions(self._launcher.facts.hierarchies)
        self._launcher.close()
        close_endpoints(endpoints)
        _logger.info("ended; %s", "guests go on running" if running else "no guests were running")

    # What happens meanwhile

    async def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.begin(work, "tell the keeper")

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload)

    def _reload(self) -> None:
        """Read the settings again: what concerns new clients holds from now on, the sockets stay as they are."""
        try:
            settings = load(self._layout, self._options.config)
        except ConfigurationError as error:
            _logger.error("the settings stay as they were: %s", error)
            return
        self._settings = settings
        if not self._options.verbose:
            start_logging(settings.log_level)
        if self._server is not None:
            self._server.limit(_session_limits(settings), self._capacity(settings))
        _logger.info("the settings were read again")

    def _obtain_keeper(self) -> socket.socket:
        """Return a channel to the living keeper, or to a new one (thread)."""
        path = self._layout.keeper_socket(VERSION)
        with contextlib.suppress(KeeperError):
            return connect(path)
        log = keeper_log(self._layout.logs / "keeper.log")
        try:
            spawn_keeper(path, log=log, soft_limit=self._limits[0])
        finally:
            if log is not None:
                os.close(log)
        return connect(path)

    def _older_keepers(self) -> dict[int, socket.socket]:
        """Return channels to the keepers of earlier versions that are there."""
        found = {}
        for former in FORMER_VERSIONS:
            with contextlib.suppress(KeeperError):
                found[former] = connect(self._layout.keeper_socket(former))
        return found

    def _keeper_told(self, event: KeeperEvent) -> None:
        if event.kind is EventKind.EXITED:
            self._services.lifecycle.guest_ended(UUID(event.uuid), ExitStatus(status=event.status))
        else:
            self._wiring.process_ended(event.execution, event.status, held=event.held)

    async def _keeper_replaced(self) -> None:
        await self._wiring.keeper_replaced()

    def _watch_idleness(self) -> None:
        if self._options.timeout is not None:
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
        return no_clients and not listing.active(self._services.domains)

    def _capacity(self, settings: Settings) -> Capacity:
        """How many clients there may be: half of the descriptors, at most, are theirs."""
        most = self._limits[1] // 2
        if settings.max_clients > most:
            _logger.warning("at most %d clients are served: this process may have %d descriptors", most, 2 * most)
        return Capacity(clients=min(settings.max_clients, most), of_one_user=settings.max_clients_per_user)

    def _names(self) -> dict[UUID, str]:
        return {each.uuid: each.name for each in self._services.domains}

    def _describe(self) -> dict[str, Any]:
        """What DAEMON_INFO tells."""
        from importlib.metadata import version  # a twentieth of all imports, for those who ask

        facts = self._launcher.facts
        return {
            "version": version("insula"),
            "libvirt_version": LIBVIRT_VERSION,
            "pid": os.getpid(),
            "began": self._began,
            "prefix": str(self._layout.root),
            "keeper": {"pid": self._keeper.keeper_pid, "restarts": self._keeper.restarts},
            "clients": 0 if self._server is None else self._server.clients,
            "domains": {"defined": len(self._services.domains), "running": listing.active(self._services.domains)},
            "host": {"kernel": facts.kernel, "cgroups": facts.hierarchies.mode.value},
        }


def _preparation(layout: Layout, store: ImageStore, settings: Settings) -> HostPreparation:
    ids, partitions = settings.ids, Partitions(allowed=settings.partitions)
    if ids is None:
        return HostPreparation(layout, store, partitions=partitions)
    pools = [range(ids.first, ids.first + ids.count)]
    return HostPreparation(layout, store, pools=lambda: pools, partitions=partitions)


def _session_limits(settings: Settings) -> SessionLimits:
    return SessionLimits(calls=settings.max_client_requests, keepalive=settings.keepalive)
