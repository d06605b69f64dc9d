"""Programs of guests that the kernel kills for want of memory: told once, with who it was, as soon as it happens.

The kernel wakes us (`kernel.cgroups.oomnotices`); who was killed stands in its log. What happened while no insulad was
there is counted in how a run ends, and told by no event.
"""

import asyncio
import logging
import time
from collections.abc import Iterable
from uuid import UUID

from insula.kernel.cgroups import PAYLOAD
from insula.kernel.cgroups.oomnotices import OomNotices
from insula.kernel.kernellog import KernelLog, OomVictim, oom_victims
from insula.model.domainstates import LifecycleKind, StoppedDetail
from insula.model.numbers import MemoryFailureAction
from insula.service.domains import Domains
from insula.service.events import DomainIdentity, Event, Events, LifecycleEvent, MemoryFailure, Reboot
from insula.service.managed import ManagedDomain, OomKill, Run

LOGGER = logging.getLogger(__name__)

_SOON = 0.1
"""Seconds: the kernel wakes us before it kills, and says who it was afterwards."""
_LOOKS = 20
"""How often we look for the kill that we were woken for: it may take the kernel a moment, or need none after all."""
_KEPT = 8
"""Victims that a run remembers."""
_UNCLAIMED = 256
"""Victims in the log whose guests' turns have not come yet, or that are no guest's of ours."""


class OomWatch:
    """Watches the groups of all guests that run, by what is told of domains."""

    def __init__(self, *, domains: Domains, events: Events, notices: OomNotices[UUID], log: KernelLog | None) -> None:
        self._domains = domains
        self._events = events
        self._notices = notices
        self._log = log
        self._watched: dict[UUID, Run] = {}
        self._due: dict[UUID, int] = {}
        """Guests in which somebody is being killed, and how often we still look."""
        self._timer: asyncio.TimerHandle | None = None
        self._unclaimed: list[OomVictim] = []
        """Those that the log has told, in its order, and no guest's kills were told with."""

    def begin(self) -> None:
        """Watch all guests that run now too; called once they are known."""
        asyncio.get_running_loop().add_reader(self._notices.fileno(), self._woken)
        for managed in self._domains:
            if managed.run is not None:
                managed.run.note_oom_kills()
                managed.run.told_oom_kills = managed.run.oom_kills
                self._watch(managed)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._notices.fileno())
        if self._timer is not None:
            self._timer.cancel()
        self._notices.close()
        if self._log is not None:
            self._log.close()

    def heard(self, event: Event) -> None:
        """Take note of guests that begin and end; a subscriber of `Events`."""
        match event:
            case LifecycleEvent(kind=LifecycleKind.STARTED | LifecycleKind.STOPPED) | Reboot():
                managed = self._domains.find(event.domain.uuid)
                run = self._watched.get(event.domain.uuid)
                if run is not None and (managed is None or managed.run is not run):
                    self._let_go(event, run)
                if managed is not None and managed.run is not None:
                    self._watch(managed)

    def _watch(self, managed: ManagedDomain) -> None:
        run = managed.require_run()
        if managed.uuid in self._watched:
            return
        try:
            self._notices.watch(managed.uuid, run.container.group)
        except OSError as error:
            LOGGER.info("domain '%s': nobody tells of kills for want of memory: %s", managed.name, error)
            return
        self._watched[managed.uuid] = run

    def _let_go(self, event: LifecycleEvent | Reboot, run: Run) -> None:
        """Watch a run no more that is over; one that crashed after a kill counts as crashed for that."""
        uuid = event.domain.uuid
        del self._watched[uuid]
        self._due.pop(uuid, None)
        self._notices.forget(uuid)
        crashed = isinstance(event, LifecycleEvent) and event.detail is StoppedDetail.CRASHED
        self._tell(event.domain, run, MemoryFailureAction.FATAL if crashed else MemoryFailureAction.IGNORE)

    def _woken(self) -> None:
        """Look in a moment: a guest that is short of memory for long wakes us a few times a second only."""
        asyncio.get_running_loop().remove_reader(self._notices.fileno())
        self._later()

    def _later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_SOON, self._look)

    def _look(self) -> None:
        try:
            self._look_at_due()
        except Exception as error:  # whatever it was, the next kill is looked at
            LOGGER.error("who is killed for want of memory cannot be looked at: %s", error, exc_info=error)
        if self._due:
            self._later()
        else:
            asyncio.get_running_loop().add_reader(self._notices.fileno(), self._woken)

    def _look_at_due(self) -> None:
        for uuid in self._notices.take():
            self._due[uuid] = _LOOKS
        for uuid, looks in tuple(self._due.items()):
            run = self._watched.get(uuid)
            if run is None or looks == 0:
                del self._due[uuid]
                continue
            self._due[uuid] = looks - 1
            run.note_oom_kills()
            if run.oom_kills > run.told_oom_kills:
                del self._due[uuid]
                managed = self._domains.find(uuid)
                if managed is not None:
                    self._tell(managed.ref, run, MemoryFailureAction.IGNORE)

    def _tell(self, domain: DomainIdentity, run: Run, action: MemoryFailureAction) -> None:
        """Tell of kills that nobody was told of yet."""
        count = run.oom_kills - run.told_oom_kills
        if count <= 0:
            return
        run.told_oom_kills = run.oom_kills
        victims = self._victims(run)[-count:]
        now = time.time()
        kills = tuple(OomKill(program=each.name, pid=each.pid, at=now) for each in victims)
        run.oom_victims = (*run.oom_victims, *kills)[-_KEPT:]
        who = ", ".join(f"'{each.name}' ({each.pid})" for each in victims) or "the kernel's log does not say who"
        LOGGER.warning("domain '%s': %d killed for want of memory: %s", domain.name, count, who)
        self._events.publish(MemoryFailure(domain=domain, action=action))

    def _victims(self, run: Run) -> list[OomVictim]:
        """Return whom the kernel's log says to have been killed in the guest, and who was not returned before."""
        if self._log is None:
            return []
        try:
            texts = self._log.take()
        except OSError as error:
            LOGGER.info("the kernel's log cannot be read: %s", error)
            return []
        found, others = list[OomVictim](), list[OomVictim]()
        paths = {each.container.group.path for each in self._watched.values()} | {run.container.group.path}
        for each in (*self._unclaimed, *oom_victims(texts)):
            (found if _is_of(each, run, paths) else others).append(each)
        self._unclaimed = others[-_UNCLAIMED:]
        return found


def _is_of(victim: OomVictim, run: Run, paths: Iterable[str]) -> bool:
    """By its user where the guest has a range of ids, which names it, and by its group where the kernel names that.

    paths: of the groups of all guests. A guest names groups below its own, so the one that stands first counts; a
    privileged one has every user.
    """
    idmap = run.container.record.spec.idmap
    if idmap is not None and not any(0 <= victim.uid - each.outside < each.count for each in idmap.uids):
        return False
    if victim.group is None:
        return idmap is not None
    return _innermost(victim.group, paths) == run.container.group.path


def _innermost(group: str, paths: Iterable[str]) -> str | None:
    """Return which of these groups a group is in, None for none of them: of one in the other, the inner.

    A daemon in a control group namespace of its own knows groups by shorter paths than the kernel's log.
    """
    whole = f"{group}/"
    found = [(place, -len(path), path) for path in paths if (place := whole.find(f"/{path}/")) >= 0]
    place, _, path = min(found, default=(0, 0, None))
    # A guest chooses names below the group that it sees as the root of all: what stands there names nobody.
    return None if f"/{PAYLOAD}/" in whole[: place + 1] else path


def kernel_log() -> KernelLog | None:
    """The kernel's log, which says who was killed for want of memory; None where we may not read it."""
    try:
        return KernelLog()
    except OSError as error:
        LOGGER.info("the kernel's log cannot be read: who is killed for want of memory will not be told: %s", error)
        return None
