"""When a guest is ready: because its init says so, a port takes connections, or a command succeeds; else as it runs.

Each run begins as not ready, a reboot's too, and once ready it stays so: what becomes of it later is not looked at
here.
"""

import asyncio
import logging
import os
import time
from dataclasses import dataclass, replace
from enum import StrEnum
from uuid import UUID

from insula.engine.notices import read_notices, refuse_more
from insula.engine.tokenbucket import TokenBucket
from insula.errors import InsulaError, OperationFailedError, OperationTimeoutError
from insula.kernel.fds import NO_FD, Fd
from insula.model.domainstates import DomainState, LifecycleKind
from insula.model.probes import DefinedReadiness
from insula.model.visible import visible
from insula.service.domains import Domains
from insula.service.events import Event, LifecycleEvent, Reboot
from insula.service.jobs import OperationKind
from insula.service.managed import ManagedDomain, Run
from insula.service.probing import Probing
from insula.service.runs import Runs

LOGGER = logging.getLogger(__name__)

PROBE_SECONDS = 3.0
"""What one try of a probe may take."""
_SECOND = 1.0
"""What an interval's second is."""
STATUS_MAX = 200
"""Characters of what init says of itself that are kept."""
_NOTICES_A_SECOND, _NOTICES_AT_ONCE = 20.0, 100.0
"""What is read of one guest: who sends more waits."""
_LOST = "its init cannot say that it is ready: the socket for that was lost with a daemon that was killed"


class ReadyState(StrEnum):
    """STARTING: not ready yet; LATE: nor within its time, and those that waited go on without it."""

    STARTING = "starting"
    READY = "ready"
    LATE = "late"


def ready_state(managed: ManagedDomain) -> ReadyState | None:
    """Return how a domain that runs stands; None for one that does not."""
    if managed.run is None:
        return None
    record = managed.run.record
    wanted = managed.current.settings.readiness if record.probed else None
    if wanted is None or record.ready:
        return ReadyState.READY
    return ReadyState.STARTING if record.age < wanted.timeout else ReadyState.LATE


@dataclass(slots=True, kw_only=True, eq=False)
class _Watched:
    """A run that is not ready yet. notices: our own descriptor of init's socket, NO_FD where it has none."""

    run: Run
    task: asyncio.Task[None]
    notices: Fd = NO_FD
    bucket: TokenBucket
    timer: asyncio.TimerHandle | None = None


class GuestReadiness:
    """Finds out when guests are ready, by what is told of domains."""

    def __init__(self, *, registry: Domains, runs: Runs, probing: Probing) -> None:
        self._registry = registry
        self._runs = runs
        self.probing = probing
        self._watched: dict[UUID, _Watched] = {}
        self._waiting: dict[UUID, asyncio.Future[None]] = {}
        """What becomes done once a domain is ready, or off."""

    def begin(self) -> None:
        """Look at all guests that run now too; called once they are known."""
        for managed in self._registry:
            self._look(managed)

    def close(self) -> None:
        for uuid in list(self._watched):
            self._let_go(uuid)

    def heard(self, event: Event) -> None:
        """Take note of guests that begin and end; a subscriber of `Events`."""
        match event:
            case LifecycleEvent(kind=LifecycleKind.STARTED | LifecycleKind.STOPPED) | Reboot():
                uuid = event.domain.uuid
                managed = self._registry.find(uuid)
                watched = self._watched.get(uuid)
                if watched is not None and (managed is None or managed.run is not watched.run):
                    self._let_go(uuid)
                if managed is not None:
                    self._look(managed)
                if isinstance(event, LifecycleEvent) and event.kind is LifecycleKind.STOPPED:
                    self._answer(uuid, "it ended before it was ready")

    async def wait(self, managed: ManagedDomain) -> None:
        """Return once the domain is ready; a reboot is waited through.

        Raises: OperationInvalidError if it is off; OperationFailedError if it ends before.
        """
        if not managed.is_shown_active:  # one that reboots has no run for a moment
            managed.require_run()
        if ready_state(managed) is not ReadyState.READY:
            waiter = self._waiting.get(managed.uuid)
            if waiter is None:
                waiter = self._waiting[managed.uuid] = asyncio.get_running_loop().create_future()
            await asyncio.shield(waiter)

    async def wait_in_time(self, managed: ManagedDomain) -> None:
        """The same, as long as its definition says. Raises: OperationTimeoutError if it is late, too."""
        if not managed.is_shown_active:
            managed.require_run()
        run = managed.run
        wanted = managed.current.settings.readiness if run is None or run.record.probed else None
        if wanted is None:
            return
        left = wanted.timeout - (0.0 if run is None else run.record.age)
        try:
            async with asyncio.timeout(max(0.0, left)):
                await self.wait(managed)
        except TimeoutError:
            raise OperationTimeoutError(f"it is not ready within {wanted.timeout} s") from None

    def _look(self, managed: ManagedDomain) -> None:
        """Watch a run from now on that is to become ready, if nobody does."""
        run = managed.run
        if run is None or managed.uuid in self._watched:
            return
        try:
            # Only then: no start waits for what describes it while it runs to be made out.
            wanted = managed.current.settings.readiness if run.record.probed else None
        except InsulaError as error:
            LOGGER.warning("domain '%s': when it is ready cannot be found out: %s", managed.name, error)
            return
        if wanted is None or run.record.ready:
            self._answer(managed.uuid)
            return
        task = self._registry.tasks.begin(self._watch(managed, run, wanted), f"readiness of {managed.name}")
        bucket = TokenBucket(_NOTICES_A_SECOND, _NOTICES_AT_ONCE)
        self._watched[managed.uuid] = _Watched(run=run, task=task, bucket=bucket)

    async def _watch(self, managed: ManagedDomain, run: Run, wanted: DefinedReadiness) -> None:
        if (settling := managed.settling()) is not None:
            await settling
        if wanted.notifies:
            self._listen(managed, run)
            return
        while managed.run is run:
            try:
                if await self._tried(managed, run, wanted):
                    return
            except Exception as error:  # whatever it was, it is tried again
                LOGGER.error("domain '%s': whether it is ready is not known: %s", managed.name, error, exc_info=error)
            await asyncio.sleep(wanted.interval * _SECOND)

    async def _tried(self, managed: ManagedDomain, run: Run, wanted: DefinedReadiness) -> bool:
        """Try the probe, if the guest can answer; return whether it is ready."""
        if managed.state.state is DomainState.PAUSED or not run.is_ours:
            return False
        reason = await self.probing.failure(managed, wanted, PROBE_SECONDS)
        if managed.run is run and reason is None:
            await self._ready(managed, run)
            return True
        run.says = visible(reason or "")[:STATUS_MAX]
        return False

    def _listen(self, managed: ManagedDomain, run: Run) -> None:
        watched = self._watched.get(managed.uuid)
        if watched is None or watched.run is not run:
            return
        if run.container.notices < 0:
            managed.notice(_LOST)
            return
        try:
            watched.notices = Fd(os.dup(run.container.notices))
        except OSError as error:
            LOGGER.error("domain '%s': its init cannot be heard: %s", managed.name, error)
            managed.notice(f"its init cannot say that it is ready: {error.strerror}")
            return
        self._hear(managed, watched)

    def _hear(self, managed: ManagedDomain, watched: _Watched) -> None:
        asyncio.get_running_loop().add_reader(watched.notices, self._read, managed, watched)

    def _read(self, managed: ManagedDomain, watched: _Watched) -> None:
        """Take what init says; a guest that says much is heard again later."""
        run, heard = watched.run, 0
        try:
            for said in read_notices(watched.notices, run.container.pid):
                heard += 1
                if "STATUS" in said:
                    run.says = visible(said["STATUS"])[:STATUS_MAX]
                if said.get("READY") == "1":
                    self._stop_hearing(watched)
                    work = self._ready(managed, run)
                    self._registry.tasks.begin(work, f"readiness of {managed.name}")
                    return
        except OSError as error:
            LOGGER.warning("domain '%s': what its init says cannot be read: %s", managed.name, error)
            self._stop_hearing(watched)
            return
        pause = watched.bucket.take(max(1, heard))
        if pause:
            loop = asyncio.get_running_loop()
            loop.remove_reader(watched.notices)
            watched.timer = loop.call_later(pause, self._hear, managed, watched)

    async def _ready(self, managed: ManagedDomain, run: Run) -> None:
        """Write down that a run is ready, and tell those who wait."""

        async def work() -> None:
            if managed.run is not run or run.ending or run.record.ready:
                return
            self._runs.journal.write_record(managed, replace(run.record, ready=time.time(), says=run.says))
            LOGGER.info("domain '%s' is ready, %.1f s after its start", managed.name, run.record.age)

        try:
            await managed.lock.perform_surely("note that it is ready", work, change=OperationKind.DEFINITION)
        except InsulaError:  # it is gone meanwhile
            return
        if managed.run is run:
            if run.container.notices >= 0:
                refuse_more(run.container.notices)
            self._let_go(managed.uuid)
            self._answer(managed.uuid)

    def _stop_hearing(self, watched: _Watched) -> None:
        if watched.timer is not None:
            watched.timer.cancel()
        if watched.notices >= 0:
            asyncio.get_running_loop().remove_reader(watched.notices)
            os.close(watched.notices)
            watched.notices = NO_FD

    def _let_go(self, uuid: UUID) -> None:
        watched = self._watched.pop(uuid)
        self._stop_hearing(watched)
        if watched.task is not asyncio.current_task():
            watched.task.cancel()

    def _answer(self, uuid: UUID, failure: str | None = None) -> None:
        waiter = self._waiting.pop(uuid, None)
        if waiter is None or waiter.done():
            return
        if failure is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(OperationFailedError(failure))
            waiter.exception()  # whoever waited may have gone
