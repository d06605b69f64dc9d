"""The states a domain can be in, why it is in one, and what its lifecycle events say: libvirt's words and numbers.

Source: libvirt's public domain header (virDomainState, virDomain*Reason, virDomainEventType and its details).
"""

from dataclasses import dataclass
from enum import IntEnum


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
