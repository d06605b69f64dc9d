"""The host's start, and starts of domains with what they depend on: who has a place or a need waits for others."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Collection, Container, Hashable, Iterable
from contextlib import suppress

from insula.errors import AccessDeniedError, DomainNotFoundError, InsulaError, OperationFailedError
from insula.model.bootorder import Awaited, Dependency
from insula.model.scalars import YesNo
from insula.service.autostart import Autostart
from insula.service.defining import DefinitionVerbs
from insula.service.domains import Domains
from insula.service.guestreadiness import GuestReadiness
from insula.service.lifecycle import LifecycleVerbs
from insula.service.managed import ManagedDomain
from insula.service.startoptions import Launch
from insula.service.startorder import (
    NOWHERE,
    Node,
    OrderedDomain,
    StartOrder,
    StartStage,
    needs_in,
    start_order,
    stop_stages,
)

LOGGER = logging.getLogger(__name__)

AT_ONCE = max(2, min(8, os.cpu_count() or 1))
"""Domains that are being started at a time: a start is mostly processor time of the daemon and the kernel."""


class BootSequence:
    """Starts what starts with the host and does not run, and what that depends on."""

    def __init__(
        self,
        *,
        registry: Domains,
        lifecycle: LifecycleVerbs,
        definitions: DefinitionVerbs,
        autostart: Autostart,
        readiness: GuestReadiness,
    ) -> None:
        self._registry = registry
        self._lifecycle = lifecycle
        self._definitions = definitions
        self._autostart = autostart
        self._readiness = readiness

    async def start(self) -> None:
        """Start every domain that starts with the host, or with this start of it only: see Autostart.

        One that fails is named in the log, and keeps only those from starting that depend on it.
        """
        if not self._autostart.is_due:
            return
        attempted = self._autostart.attempted()
        due = [
            each
            for each in self._registry
            if (each.autostart or each.autostart_once) and str(each.uuid) not in attempted
        ]
        starts = _Starts(self._registry, self._lifecycle, self._readiness)

        async def attempt(managed: ManagedDomain) -> None:
            try:
                await starts.begin(managed)
            except Exception as error:  # whatever it was, the others are to start
                LOGGER.error("domain '%s' should start with the host: %s", managed.name, error)
            if managed.autostart_once:
                await self._spend(managed)
            self._autostart.note(str(managed.uuid))

        await starts.all(self._with_needs(due), attempt, placed=True)
        self._autostart.done()

    def with_needs(self, managed: ManagedDomain) -> Collection[ManagedDomain]:
        """Return a domain and what it depends on, and what those do: what its start may start."""
        return self._with_needs([managed]).values()

    async def start_with_needs(self, managed: ManagedDomain, *, permitted: Container[Hashable] | None = None) -> None:
        """Start a domain, and before it what it depends on and does not run. Raises: what its start does.

        permitted: the UUIDs of those that may be started, None for all. If another would have to be, nothing is:
        AccessDeniedError.
        """
        needed = self._with_needs([managed])
        for each in needed.values():
            if not each.is_active:
                _refuse_start(each, permitted)
        starts = _Starts(self._registry, self._lifecycle, self._readiness)
        failure: Exception | None = None

        async def attempt(each: ManagedDomain) -> None:
            nonlocal failure
            try:
                if not each.is_active:  # it may have ended meanwhile
                    _refuse_start(each, permitted)
                await (starts.begin(each) if each is not managed else starts.begin(each, anyway=True))
            except Exception as error:
                failure = error if each is managed else failure

        await starts.all(needed, attempt, placed=False)
        if failure is not None:
            raise failure

    def stop_stages(self, domains: Iterable[ManagedDomain]) -> tuple[tuple[str, ...], ...]:
        """Return the names of those that run, in the order in which they are to stop: see startorder."""
        return stop_stages([_ordered(each) for each in domains if each.is_active])

    def _with_needs(self, due: Iterable[ManagedDomain]) -> dict[str, ManagedDomain]:
        """Return domains by their names, with what they depend on, and what those do."""
        found: dict[str, ManagedDomain] = {}
        waiting = list(due)
        while waiting:
            managed = waiting.pop()
            if managed.name in found:
                continue
            found[managed.name] = managed
            for need in _needs(managed):
                with suppress(DomainNotFoundError):
                    waiting.append(self._registry.by_name(need.domain))
        return found

    async def _spend(self, managed: ManagedDomain) -> None:
        """Let it not start with the host's next start: whatever came of this one."""
        with suppress(DomainNotFoundError):
            try:
                await self._definitions.set_autostart_once(managed, on=False)
            except DomainNotFoundError:
                raise
            except Exception as error:  # whatever it was, the others are to start
                LOGGER.error("domain '%s' will start with the host's next start again: %s", managed.name, error)


class _Starts:
    """Starts of several domains that depend on each other. Used once."""

    def __init__(self, registry: Domains, lifecycle: LifecycleVerbs, readiness: GuestReadiness) -> None:
        self._registry = registry
        self._readiness = readiness
        self._lifecycle = lifecycle
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._order = StartOrder(before={}, cycles=())
        self._next: dict[str, float] = {}
        """By groups the moment, on the loop's clock, before which their next stage is not reached."""

    async def all(
        self,
        domains: dict[str, ManagedDomain],
        attempt: Callable[[ManagedDomain], Awaitable[None]],
        *,
        placed: bool,
    ) -> None:
        """Have each domain attempted once those before it were. placed: their places among each other count."""
        self._order = start_order([_ordered(each) for each in domains.values()], placed=placed)
        sorter, running = self._order.sorter(), dict[asyncio.Task[None], Node]()

        async def reach(node: Node) -> None:
            if isinstance(node, StartStage):
                await asyncio.sleep(self._next.pop(node.group, 0) - asyncio.get_running_loop().time())
            else:
                await attempt(domains[node])

        try:
            while sorter.is_active():
                for node in sorter.get_ready():
                    running[asyncio.ensure_future(reach(node))] = node
                reached, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in reached:
                    task.result()
                    sorter.done(running.pop(task))
        finally:
            for task in running:
                task.cancel()

    async def begin(self, managed: ManagedDomain, *, anyway: bool = False) -> None:
        """Start a domain, unless it runs or is kept; anyway: also then, so that it is refused.

        Raises: OperationFailedError if what it depends on does not run; that is then why its start has failed.
        """
        stays = managed.is_active or managed.ended_record is not None
        if stays and not anyway:
            return
        try:
            for need in _needs(managed) if not stays else ():
                await self._check(managed, need)
        except OperationFailedError as error:
            await self._lifecycle.note_failed_start(managed, error)
            raise
        async with self._slots:
            await self._lifecycle.start(managed, Launch())
        place = managed.current.settings.start_place
        if place is not None and place.delay:
            group, earliest = place.group or "", asyncio.get_running_loop().time() + place.delay
            self._next[group] = max(self._next.get(group, 0), earliest)

    async def _check(self, managed: ManagedDomain, need: Dependency) -> None:
        """Raises: OperationFailedError, saying why, if what it cannot do without is not there in time."""
        reason = await self._missing(managed, need)
        if reason is None:
            return
        text = f"it depends on domain '{need.domain}', {reason}"
        if need.required is YesNo.YES:
            raise OperationFailedError(text)
        LOGGER.warning("domain '%s' starts all the same: %s", managed.name, text)

    async def _missing(self, managed: ManagedDomain, need: Dependency) -> str | None:
        """Why what is needed is not there; None if it is."""
        cycle = self._order.in_cycle.get(managed.name)
        if cycle is not None and need.domain in cycle:
            return f"and so on back to itself: {' → '.join(reversed(cycle))}"
        try:
            needed = self._registry.by_name(need.domain)
        except DomainNotFoundError:
            return "which is not there"
        if needed.is_shown_active:
            return await self._unready(needed) if need.until is Awaited.READY else None
        failure = needed.past.failure
        return "which does not run" if failure is None else f"which could not be started: {failure.text}"

    async def _unready(self, needed: ManagedDomain) -> str | None:
        """Why what is needed is not ready in time; None if it is."""
        try:
            await self._readiness.wait_in_time(needed)
        except InsulaError as error:
            return f"of which is true: {error}"
        return None


def _refuse_start(managed: ManagedDomain, permitted: Container[Hashable] | None) -> None:
    """Raises: AccessDeniedError for a domain that is not among those that may be started."""
    if permitted is not None and managed.uuid not in permitted:
        raise AccessDeniedError(
            f"access denied: domain:start on domain '{managed.name}', which would have to be started"
        )


def _needs(managed: ManagedDomain) -> Collection[Dependency]:
    """What a domain depends on; nothing for one whose definition cannot be made out, which its start tells."""
    try:
        return managed.current.settings.depends_on
    except InsulaError:
        return ()


def _ordered(managed: ManagedDomain) -> OrderedDomain:
    try:
        domain = managed.current
    except InsulaError:
        return OrderedDomain(name=managed.name)
    return OrderedDomain(name=managed.name, needs=needs_in(domain), place=domain.settings.start_place or NOWHERE)
