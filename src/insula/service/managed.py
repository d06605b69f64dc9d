"""One domain as the service knows it: what is defined, what runs, and in which state it is."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from uuid import UUID

from insula.engine.console.console import ConsoleHub
from insula.engine.console.consolepause import ConsolePause
from insula.engine.launch.runningcontainer import Running
from insula.engine.spec import Limits
from insula.errors import DomainNotFoundError, InternalError, OperationInvalidError, without_errno
from insula.model.domain import DomainDefinition
from insula.model.domainstates import (
    TRANSITIONS,
    DomainState,
    Happening,
    ShutoffReason,
    StateWithReason,
    Transition,
)
from insula.model.sizes import KiB
from insula.service.channelhosts import OpenChannel
from insula.service.events import DomainIdentity, Events, LifecycleEvent, Reboot
from insula.service.guestcondition import GuestCondition
from insula.service.jobs import MemoryJob
from insula.service.live import defined
from insula.service.pastruns import NOTHING, Past, oom_kills_in
from insula.service.runrecord import Next, RunRecord, StopReason
from insula.service.statelock import LOCK_PATIENCE, StateChangeLock
from insula.service.tasks import BackgroundTasks
from insula.service.unread import Description, UnreadDefinition

_REBOOTING = frozenset({Happening.REBOOTING, Happening.REBOOTING_PAUSED})
_REBOOTED = frozenset({Happening.REBOOTED, Happening.REBOOTED_PAUSED})
NEVER_RAN = StateWithReason(state=DomainState.SHUTOFF, reason=ShutoffReason.UNKNOWN)


@dataclass(frozen=True, kw_only=True, slots=True)
class Stopped:
    """How a domain went off. status: its init's, as wait(2) has it; None when nobody could learn it."""

    reason: StopReason
    status: int | None
    out_of_memory: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class OomKill:
    """A process that was killed for want of memory. program: its name; pid: the host's; at: seconds since 1970."""

    program: str
    pid: int
    at: float


@dataclass(slots=True, kw_only=True)
class Run:
    """The present run of a domain.

    record: as the run directory has it; ending: its end has begun; oom_kills: processes that were killed for want of
    memory, as far as that is known; told_oom_kills: how many of them clients were told of; oom_victims: the last of
    these; adoption: done once this daemon has taken the guest
    over from the one before, or has found that it cannot yet, None for one that it started; memory_job: takes memory
    from the guest, or was given up and is cleaning up; says: what its init says of itself, or why a probe for its
    readiness fails; condition: how it is, None if nobody looks after it; reclaimed: bytes of idle memory that this
    daemon took from it.
    """

    container: Running
    record: RunRecord
    consoles: tuple[ConsoleHub, ...] = ()
    channels: tuple[OpenChannel, ...] = ()
    ending: bool = False
    oom_kills: int = 0
    told_oom_kills: int = 0
    oom_victims: tuple[OomKill, ...] = ()
    adoption: asyncio.Future[None] | None = None
    memory_job: MemoryJob | None = None
    says: str = ""
    condition: GuestCondition | None = None
    reclaimed: int = 0

    def limiting(self, wanted: Limits | None = None) -> Limits | None:
        """Return what the record is to tell of the limits that are being put: wanted, and the memory that is taken."""
        if self.memory_job is None:
            return wanted
        taken = self.memory_job.wanted
        return replace(wanted or Limits(), memory=taken.memory, memory_soft=taken.memory_soft)

    def note_oom_kills(self) -> None:
        """Read how many of the guest's processes were killed for want of memory, as long as its group is there.

        A host's systemd removes that once it is empty: so this is the first thing done about an end.
        """
        self.oom_kills = max(self.oom_kills, oom_kills_in(self.container.group))

    @property
    def is_ours(self) -> bool:
        """Whether the keeper, its consoles and its end are this daemon's already."""
        return self.adoption is None or (self.adoption.done() and self.container.pidfd >= 0)


@dataclass(slots=True, kw_only=True)
class ManagedDomain:
    """A domain that is defined, or runs, or both.

    description: what describes it now, with the live facts while it runs, read or not; definition: what is defined,
    read or not, None for a transient one; autostart_once: it starts with the host's next start, whatever it does at
    others; owner: whose connection it dies with; updated: that was changed since the run began; ended_record: the
    record of a run that is over and not forgotten, because it is preserved or will be started again by the task
    restart; notices: what an administrator should know about it; past: how its last run ended; gone: the registry has
    it no more; lock: what changes it takes turns there.
    """

    description: Description
    definition: Description | None = None
    autostart: bool = False
    autostart_once: bool = False
    run: Run | None = None
    owner: object | None = None
    updated: bool = False
    ended_record: RunRecord | None = None
    restart: asyncio.Task[None] | None = None
    notices: tuple[str, ...] = ()
    past: Past = NOTHING
    gone: bool = False
    patience: float = LOCK_PATIENCE
    tasks: BackgroundTasks = field(default_factory=BackgroundTasks)
    over: asyncio.Future[Stopped] | None = None
    events: Events = field(default_factory=Events)
    lock: StateChangeLock = field(init=False)
    name: str = field(init=False)
    uuid: UUID = field(init=False)
    _state: StateWithReason = NEVER_RAN
    _rebooting: int = -1  # the id of the run that ended to begin again at once
    _paused_consoles: tuple[ConsolePause, ...] = ()  # of that run, with those who look at them

    def __post_init__(self) -> None:
        self.name, self.uuid = self.description.name, self.description.uuid
        self.lock = StateChangeLock(self.name, patience=self.patience, tasks=self.tasks, admit=self._refuse_if_gone)

    def _refuse_if_gone(self) -> None:
        if self.gone:
            raise DomainNotFoundError(f"no domain with matching uuid '{self.uuid}'")

    def settling(self) -> Awaitable[None] | None:
        """Return what is done once an earlier daemon's guest is this one's, as far as it can be; None if it is."""
        if self.run is None or self.run.adoption is None or self.run.adoption.done():
            return None
        self.lock.hurry()
        return asyncio.shield(self.run.adoption)

    @property
    def current(self) -> DomainDefinition:
        """What describes it now."""
        return _value_of(self.description)

    @property
    def known_description(self) -> Description:
        """What describes it now: itself if it was read already, which is not done for this."""
        described = self.description
        return described.known() or described if isinstance(described, UnreadDefinition) else described

    def describe(self, change: Callable[[DomainDefinition], DomainDefinition]) -> None:
        """Let change make of what describes it what does from now on: when that is read, if it is not yet."""
        described = self.description
        self.description = described.then(change) if isinstance(described, UnreadDefinition) else change(described)

    @property
    def id(self) -> int:
        return self.run.container.id if self.run is not None else self._rebooting

    @property
    def ref(self) -> DomainIdentity:
        return DomainIdentity(name=self.name, uuid=self.uuid, id=self.id)

    @property
    def is_active(self) -> bool:
        return self.run is not None

    @property
    def is_shown_active(self) -> bool:
        """Whether clients see it running: also while a guest that rebooted has not begun again."""
        return self.id != -1

    @property
    def will_restart(self) -> bool:
        """Whether it is off for the moment only."""
        return self.ended_record is not None and self.ended_record.next is Next.RESTART

    @property
    def is_persistent(self) -> bool:
        return self.definition is not None

    @property
    def config(self) -> DomainDefinition | None:
        """What is defined, None for a transient domain. What was not read yet is short, and is read now."""
        return None if self.definition is None else _value_of(self.definition)

    @property
    def balloon(self) -> KiB:
        """What it may use now; while memory is taken from it, what it still holds of that."""
        job = None if self.run is None else self.run.memory_job
        now = self.current.memory_now
        return now if job is None or job.bound is None else min(now, job.bound)

    def require_run(self) -> Run:
        """Return the present run. Raises: OperationInvalidError if there is none."""
        if self.run is None:
            raise OperationInvalidError("domain is not running")
        return self.run

    def refuse_unless(self, run: Run | None) -> None:
        """Raises: OperationInvalidError if another run than the one that is meant is there, or none; None means any."""
        if run is not None and self.run is not run:
            raise OperationInvalidError("the guest that was meant has ended, or rebooted")

    def require_config(self) -> DomainDefinition:
        """Return what is defined. Raises: OperationInvalidError for a transient domain."""
        if self.definition is None:
            raise OperationInvalidError("transient domains do not have any persistent config")
        return _value_of(self.definition)

    def define(self, config: DomainDefinition) -> None:
        """Take config as what is defined; a run goes on as it is."""
        self.updated = self.is_active
        self.definition = config
        if not self.is_active:
            self.description = config

    def notice(self, text: str) -> None:
        """Tell the administrator something about the domain, once."""
        text = without_errno(text)
        if text not in self.notices:
            self.notices = (*self.notices, text)

    def withdraw(self, text: str) -> None:
        """Say something no more that `notice` has said: it is so no more."""
        self.notices = tuple(each for each in self.notices if each != without_errno(text))

    @property
    def state(self) -> StateWithReason:
        """What it is doing, and why."""
        return self._state

    def happen(self, happening: Happening) -> None:
        """Let the state change, and tell everybody. Nothing else does, but `found` for what happened before our time.

        Raises: InternalError for what cannot happen in the present state.
        """
        transition = self._possible(happening)
        self._state = transition.after
        ref = self.ref
        if happening in _REBOOTED:
            self.events.publish(Reboot(domain=ref))
        for kind, detail in transition.told:
            self.events.publish(LifecycleEvent(domain=ref, kind=kind, detail=detail))

    def found(self, state: StateWithReason) -> None:
        """Take over the state that an earlier daemon left: it told everybody."""
        self._state = state

    def _possible(self, happening: Happening) -> Transition:
        transition = TRANSITIONS[happening]
        if self._state.state not in transition.before:
            raise InternalError(f"domain '{self.name}' is {self._state.state.name.lower()}, and {happening.value}")
        return transition

    def begin(self, run: Run, live: Description, happening: Happening) -> None:
        """It runs from now on."""
        self._possible(happening)
        self._begin(run, live)
        self.happen(happening)

    def show(self, run: Run, live: Description, state: StateWithReason) -> None:
        """It was started by an earlier daemon, and runs."""
        self._begin(run, live)
        self.found(state)

    def _begin(self, run: Run, live: Description) -> None:
        self.run, self.description, self.notices, self._rebooting = run, live, (), -1
        for paused, console in zip(self._paused_consoles, run.consoles, strict=False):
            paused.go_on(console)
        self._end_paused_consoles()
        if self.over is None or self.over.done():
            self.over = asyncio.get_running_loop().create_future()

    def pause_consoles(self) -> None:
        """Let those who look at the present run's consoles see no end, if the run that follows begins at once."""
        self._paused_consoles = tuple(ConsolePause(console) for console in self.require_run().consoles)

    def _end_paused_consoles(self) -> None:
        for paused in self._paused_consoles:
            paused.end()
        self._paused_consoles = ()

    def end(self, happening: Happening, *, restarts: bool = False) -> None:
        """It does not run any more.

        It is described by what is defined; a transient one, or one that will be started again, by what ran.
        """
        self._possible(happening)
        self._rebooting = self.id if happening in _REBOOTING else -1
        if happening not in _REBOOTING:
            self._end_paused_consoles()
        self.run, self.updated = None, self.updated and restarts
        if restarts or self.definition is None:
            self.describe(defined)
        else:
            self.description = self.definition
        self.happen(happening)

    def tell_stopped(self, stopped: Stopped) -> None:
        """Answer everybody who waits for the domain to be off."""
        if self.over is not None and not self.over.done():
            self.over.set_result(stopped)


def _value_of(described: Description) -> DomainDefinition:
    return described.value() if isinstance(described, UnreadDefinition) else described


def state_of(container: Running, record: RunRecord) -> StateWithReason:
    """Return the state of a guest that was found again: whether it stands still, the kernel knows."""
    with suppress(OSError):
        if container.awaiting_exec or container.group.frozen:
            return TRANSITIONS[Happening.SUSPENDED].after
    return TRANSITIONS[Happening.RESUMED if record.resumed else Happening.BOOTED].after
