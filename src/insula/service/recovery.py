"""What a new daemon has to do about each run of the one before: decided from facts alone, performed elsewhere.

order of truth: the kernel and the keeper (does the guest live, how did it end?), the run directory, the definitions
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from insula.engine.exitstatus import ExitStatus
from insula.service.running import Phase, Record

UNKNOWN = ExitStatus(status=None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Guest:
    """What was found of a guest that a record tells of. status: None while it lives."""

    status: ExitStatus | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """boot_id: of this boot; guests: those that left a trace; held: what the keeper has, whoever knows of it."""

    boot_id: str
    guests: Mapping[UUID, Guest]
    held: frozenset[UUID] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class Adopt:
    """The guest lives: take it over."""

    record: Record


@dataclass(frozen=True, kw_only=True, slots=True)
class Finish:
    """The guest ended while nobody looked: clear up, and do what its on_… says."""

    record: Record
    status: ExitStatus


@dataclass(frozen=True, kw_only=True, slots=True)
class Destroy:
    """It lives, and must not: the connection it was to die with is gone."""

    record: Record


@dataclass(frozen=True, kw_only=True, slots=True)
class Undo:
    """A start that nobody was told of, cut short: remove what there is of it. One that was a restart is made again."""

    record: Record


@dataclass(frozen=True, kw_only=True, slots=True)
class Conclude:
    """It was decided that, and how, this run ended: clear up what is left, then do what comes next."""

    record: Record


@dataclass(frozen=True, kw_only=True, slots=True)
class Forget:
    """A run of an earlier boot: nothing of it can be left but its record."""

    record: Record


@dataclass(frozen=True, kw_only=True, slots=True)
class Stray:
    """The keeper holds a guest that no record tells of: it cannot be managed, so it ends."""

    uuid: UUID


Action = Adopt | Finish | Destroy | Undo | Conclude | Forget | Stray


def said(action: Action) -> str:
    """Return an action in few words, for the log."""
    verb = type(action).__name__.lower()
    if isinstance(action, Stray):
        return f"{verb} {action.uuid}"
    return f"{verb} '{action.record.name}' ({action.record.uuid})"


def decide(records: Iterable[Record], unreadable: frozenset[UUID], facts: Facts) -> list[Action]:
    """Return what to do, one action a run. unreadable: runs whose record is there and makes no sense: left alone."""
    known = list(records)
    recorded = {record.uuid for record in known} | unreadable
    strays = [Stray(uuid=uuid) for uuid in sorted(facts.held - recorded)]
    return [*(_action(record, facts) for record in known), *strays]


def _action(record: Record, facts: Facts) -> Action:
    if record.boot_id != facts.boot_id:
        return Forget(record=record)
    match record.phase:
        case Phase.STARTING:
            return Undo(record=record)
        case Phase.ENDING:
            return Conclude(record=record)
        case Phase.RUNNING:
            guest = facts.guests.get(record.uuid)
            if guest is None:
                return Finish(record=record, status=UNKNOWN)
            if guest.status is not None:
                return Finish(record=record, status=guest.status)
            return Destroy(record=record) if record.autodestroy else Adopt(record=record)
