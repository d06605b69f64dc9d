"""The states a domain can be in, why it is in one, what changes them and what its events say of it: libvirt's words.

Source: libvirt's public domain header (virDomainState, virDomain*Reason, virDomainEventType and its details).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum


class DomainState(IntEnum):
    """What a domain is doing."""

    NOSTATE = 0
    RUNNING = 1
    BLOCKED = 2
    PAUSED = 3
    SHUTDOWN = 4
    """Being shut down: the guest was asked to stop and has not yet."""
    SHUTOFF = 5
    CRASHED = 6
    PMSUSPENDED = 7


SPELLED: Mapping[DomainState, str] = {
    DomainState.NOSTATE: "no state",
    DomainState.RUNNING: "running",
    DomainState.BLOCKED: "idle",
    DomainState.PAUSED: "paused",
    DomainState.SHUTDOWN: "in shutdown",
    DomainState.SHUTOFF: "shut off",
    DomainState.CRASHED: "crashed",
    DomainState.PMSUSPENDED: "pmsuspended",
}
"""A state in whatever people or programs are told, as virsh prints it."""


class RunningReason(IntEnum):
    """Why a domain runs."""

    UNKNOWN = 0
    BOOTED = 1
    MIGRATED = 2
    RESTORED = 3
    FROM_SNAPSHOT = 4
    UNPAUSED = 5
    MIGRATION_CANCELED = 6
    SAVE_CANCELED = 7
    WAKEUP = 8
    CRASHED = 9
    POSTCOPY = 10
    POSTCOPY_FAILED = 11


class PausedReason(IntEnum):
    """Why a domain is paused."""

    UNKNOWN = 0
    USER = 1
    MIGRATION = 2
    SAVE = 3
    DUMP = 4
    IOERROR = 5
    WATCHDOG = 6
    FROM_SNAPSHOT = 7
    SHUTTING_DOWN = 8
    SNAPSHOT = 9
    CRASHED = 10
    STARTING_UP = 11
    POSTCOPY = 12
    POSTCOPY_FAILED = 13


class ShutdownReason(IntEnum):
    """Why a domain is shutting down."""

    UNKNOWN = 0
    USER = 1


class ShutoffReason(IntEnum):
    """Why a domain is off."""

    UNKNOWN = 0
    SHUTDOWN = 1
    DESTROYED = 2
    CRASHED = 3
    MIGRATED = 4
    SAVED = 5
    FAILED = 6
    FROM_SNAPSHOT = 7
    DAEMON = 8


class CrashedReason(IntEnum):
    """Why a domain counts as crashed."""

    UNKNOWN = 0
    PANICKED = 1


Reason = RunningReason | PausedReason | ShutdownReason | ShutoffReason | CrashedReason


@dataclass(frozen=True, kw_only=True, slots=True)
class StateWithReason:
    """What `domstate --reason` shows."""

    state: DomainState
    reason: Reason


REASONS: dict[DomainState, type[Reason]] = {
    DomainState.RUNNING: RunningReason,
    DomainState.PAUSED: PausedReason,
    DomainState.SHUTDOWN: ShutdownReason,
    DomainState.SHUTOFF: ShutoffReason,
    DomainState.CRASHED: CrashedReason,
}
"""The enum that a state's reason is a member of."""


class LifecycleKind(IntEnum):
    """What happened to a domain."""

    DEFINED = 0
    UNDEFINED = 1
    STARTED = 2
    SUSPENDED = 3
    RESUMED = 4
    STOPPED = 5
    SHUTDOWN = 6
    PMSUSPENDED = 7
    CRASHED = 8


class DefinedDetail(IntEnum):
    """How it was defined."""

    ADDED = 0
    UPDATED = 1
    RENAMED = 2
    FROM_SNAPSHOT = 3


class UndefinedDetail(IntEnum):
    """How it was undefined."""

    REMOVED = 0
    RENAMED = 1


class StartedDetail(IntEnum):
    """How it was started."""

    BOOTED = 0
    MIGRATED = 1
    RESTORED = 2
    FROM_SNAPSHOT = 3
    WAKEUP = 4


class SuspendedDetail(IntEnum):
    """Why it was suspended."""

    PAUSED = 0
    MIGRATED = 1
    IOERROR = 2
    WATCHDOG = 3
    RESTORED = 4
    FROM_SNAPSHOT = 5
    API_ERROR = 6
    POSTCOPY = 7
    POSTCOPY_FAILED = 8


class ResumedDetail(IntEnum):
    """Why it was resumed."""

    UNPAUSED = 0
    MIGRATED = 1
    FROM_SNAPSHOT = 2
    POSTCOPY = 3
    POSTCOPY_FAILED = 4


class StoppedDetail(IntEnum):
    """Why it stopped."""

    SHUTDOWN = 0
    DESTROYED = 1
    CRASHED = 2
    MIGRATED = 3
    SAVED = 4
    FAILED = 5
    FROM_SNAPSHOT = 6


class ShutdownDetail(IntEnum):
    """Who shut it down."""

    FINISHED = 0
    GUEST = 1
    HOST = 2


class CrashedDetail(IntEnum):
    """How it crashed."""

    PANICKED = 0
    CRASHLOADED = 1


LifecycleDetail = (
    DefinedDetail
    | UndefinedDetail
    | StartedDetail
    | SuspendedDetail
    | ResumedDetail
    | StoppedDetail
    | ShutdownDetail
    | CrashedDetail
)


class Happening(Enum):
    """What changes a domain's state."""

    BOOTED = "booted"
    BOOTED_PAUSED = "booted, and stands still before its first instruction"
    REBOOTED = "booted again by the guest's own wish: a reboot to everybody, no end and no start"
    SUSPENDED = "suspended"
    RESUMED = "resumed"
    SHUT_DOWN = "shut down"
    DESTROYED = "destroyed"
    CRASHED = "crashed"
    CRASHED_KEPT = "crashed, and is kept for inspection"
    FAILED = "failed"
    LOST = "ended while nobody was there to learn how"
    REBOOTED_PAUSED = "booted again, and stands still as it did"
    REBOOTING = "ended to boot again at once"
    REBOOTING_PAUSED = "ended while it stood still, to boot again at once"
    START_FAILED = "could not be started"


@dataclass(frozen=True, kw_only=True, slots=True)
class Transition:
    """before: the states it is possible in; after: what it makes of them; told: what lifecycle events say, in order."""

    before: frozenset[DomainState]
    after: StateWithReason
    told: tuple[tuple[LifecycleKind, LifecycleDetail], ...] = ()


_OFF = frozenset({DomainState.SHUTOFF, DomainState.CRASHED})
_ON = frozenset({DomainState.RUNNING, DomainState.PAUSED})


def _state(state: DomainState, reason: Reason) -> StateWithReason:
    return StateWithReason(state=state, reason=reason)


def _end(reason: ShutoffReason, detail: StoppedDetail) -> Transition:
    """Also of what is off already: waiting for its next start, kept for inspection, or ended before anybody looked."""
    after = _state(DomainState.SHUTOFF, reason)
    return Transition(before=_ON | _OFF, after=after, told=((LifecycleKind.STOPPED, detail),))


_RUNNING = _state(DomainState.RUNNING, RunningReason.BOOTED)
_PAUSED = _state(DomainState.PAUSED, PausedReason.USER)

TRANSITIONS: Mapping[Happening, Transition] = {
    Happening.BOOTED: Transition(before=_OFF, after=_RUNNING, told=((LifecycleKind.STARTED, StartedDetail.BOOTED),)),
    Happening.BOOTED_PAUSED: Transition(
        before=_OFF,
        after=_PAUSED,
        told=((LifecycleKind.STARTED, StartedDetail.BOOTED), (LifecycleKind.SUSPENDED, SuspendedDetail.PAUSED)),
    ),
    Happening.REBOOTED: Transition(before=_OFF | frozenset({DomainState.RUNNING}), after=_RUNNING),
    Happening.REBOOTED_PAUSED: Transition(before=_OFF | frozenset({DomainState.PAUSED}), after=_PAUSED),
    Happening.SUSPENDED: Transition(
        before=frozenset({DomainState.RUNNING}),
        after=_PAUSED,
        told=((LifecycleKind.SUSPENDED, SuspendedDetail.PAUSED),),
    ),
    Happening.RESUMED: Transition(
        before=frozenset({DomainState.PAUSED}),
        after=_state(DomainState.RUNNING, RunningReason.UNPAUSED),
        told=((LifecycleKind.RESUMED, ResumedDetail.UNPAUSED),),
    ),
    Happening.SHUT_DOWN: _end(ShutoffReason.SHUTDOWN, StoppedDetail.SHUTDOWN),
    Happening.DESTROYED: _end(ShutoffReason.DESTROYED, StoppedDetail.DESTROYED),
    Happening.CRASHED: _end(ShutoffReason.CRASHED, StoppedDetail.CRASHED),
    Happening.CRASHED_KEPT: Transition(
        before=_ON | _OFF,
        after=_state(DomainState.CRASHED, CrashedReason.PANICKED),
        told=((LifecycleKind.STOPPED, StoppedDetail.CRASHED),),
    ),
    Happening.FAILED: _end(ShutoffReason.FAILED, StoppedDetail.FAILED),
    Happening.LOST: _end(ShutoffReason.UNKNOWN, StoppedDetail.FAILED),
    # Nobody is told, so nobody may see it off: who asks meanwhile hears that it runs.
    Happening.REBOOTING: Transition(before=_ON, after=_RUNNING),
    Happening.REBOOTING_PAUSED: Transition(before=frozenset({DomainState.PAUSED}), after=_PAUSED),
    Happening.START_FAILED: Transition(before=_OFF | _ON, after=_state(DomainState.SHUTOFF, ShutoffReason.FAILED)),
}
"""Every change of a domain's state there is; who makes one is `ManagedDomain.happen`, and nobody else."""
