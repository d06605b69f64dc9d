"""What a new daemon has to do about each run of the one before: decided from facts alone, performed elsewhere.

order of truth: the kernel and the keeper (does the guest live, how did it end?), the run directory, the definitions
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from uuid import UUID

from insula.engine.exitstatus import ExitStatus
from insula.engine.launch.runningcontainer import ContainerRecord
from insula.engine.launch.succession import Held
from insula.service.runrecord import KILLED, Next, RunPhase, RunRecord, StopReason

UNKNOWN = ExitStatus(status=None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """boot_id: of this boot; held: what the keeper has; labelled: the records of guests that live, as the kernel keeps
    them; relics: those of guests that have ended and left their groups; outdated: runs whose record tells of another
    init than the one that lives."""

    boot_id: str
    held: Mapping[UUID, Held]
    labelled: Mapping[UUID, ContainerRecord]
    relics: Mapping[UUID, ContainerRecord] = field(default_factory=dict)
    outdated: frozenset[UUID] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class Adopt:
    """Take the guest over if it lives, and do what its on_… says if it has ended."""

    record: RunRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class Destroy:
    """It must not live on: the connection it was to die with is gone, or it was being destroyed."""

    record: RunRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class Reset:
    """It was being killed to be started again: take it over, and do that."""

    record: RunRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class Undo:
    """A start that nobody was told of, cut short: remove what there is of it. again: it was a restart, make it anew."""

    record: RunRecord
    again: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Conclude:
    """It was decided that, and how, this run ended: clear up what is left, then do what comes next."""

    record: RunRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class Forget:
    """A run of an earlier boot: nothing of it can be left but its record."""

    record: RunRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class Discover:
    """A guest lives that no record tells of, or only one that is out of date or cannot be read: show it, as it is."""

    uuid: UUID


@dataclass(frozen=True, kw_only=True, slots=True)
class Drop:
    """The keeper, or a control group, has what is left of a guest, dead or never born, that no record tells of."""

    uuid: UUID


Action = Adopt | Destroy | Reset | Undo | Conclude | Forget | Discover | Drop


def said(action: Action) -> str:
    """Return an action in few words, for the log."""
    verb = type(action).__name__.lower()
    if isinstance(action, Discover | Drop):
        return f"{verb} {action.uuid}"
    return f"{verb} '{action.record.name}' ({action.record.uuid})"


def decide(records: Iterable[RunRecord], facts: Evidence) -> list[Action]:
    """Return what to do, at most one action a run and one a living guest that it does not tell of."""
    actions: list[Action] = []
    told: set[UUID] = set()
    for record in records:
        action = _action(record, facts)
        if action is not None:
            actions.append(action)
        if not _is_about_another(action, record, facts):
            told.add(record.uuid)
    unknown = sorted((facts.labelled.keys() | facts.held.keys() | facts.relics.keys()) - told)
    return [*actions, *(_unrecorded(uuid, facts) for uuid in unknown)]


def _action(record: RunRecord, facts: Evidence) -> Action | None:
    if record.boot_id != facts.boot_id:
        return Forget(record=record)
    match record.phase:
        case RunPhase.STARTING:
            again = record.again and not record.autodestroy and not _other_launch(record, facts)
            return Undo(record=record, again=again)
        case RunPhase.ENDING:
            # With the connection that it was to die with, nothing may follow that lives on.
            orphaned = record.autodestroy and record.next is Next.RESTART
            # What was to be killed and lives is shown as running until it is dead; its end is told then.
            if _outlived_its_kill(record, facts):
                again = record.reason is StopReason.RESET and not orphaned
                return Reset(record=record) if again else Destroy(record=record)
            return Conclude(record=replace(record, next=Next.OFF) if orphaned else record)
        case RunPhase.RUNNING:
            if record.container is None or record.uuid in facts.outdated:
                return None
            return Destroy(record=record) if record.autodestroy else Adopt(record=record)


def _is_about_another(action: Action | None, record: RunRecord, facts: Evidence) -> bool:
    """Whether a guest with the record's UUID lives that is not the record's."""
    if action is None:
        return True
    if isinstance(action, Forget):
        return _lives(record.uuid, facts)
    return isinstance(action, Undo) and _other_launch(record, facts)


def _other_launch(record: RunRecord, facts: Evidence) -> bool:
    """Whether a guest lives that another launch made than the one that was cut short."""
    label = facts.labelled.get(record.uuid)
    return label is not None and (record.intent is None or label.launch != record.intent.launch)


def _outlived_its_kill(record: RunRecord, facts: Evidence) -> bool:
    """Whether the record's own guest lives, which was being killed."""
    own = record.container is not None and record.uuid not in facts.outdated
    killed = record.reason in KILLED and (record.asked is record.reason or record.reason is StopReason.DESTROYED)
    return own and killed and _lives(record.uuid, facts)


def _lives(uuid: UUID, facts: Evidence) -> bool:
    held = facts.held.get(uuid)
    return uuid in facts.labelled or (held is not None and held.lives)


def _unrecorded(uuid: UUID, facts: Evidence) -> Action:
    return Discover(uuid=uuid) if _lives(uuid, facts) else Drop(uuid=uuid)


def is_outdated(record: RunRecord, labelled: Mapping[UUID, ContainerRecord], held: Mapping[UUID, Held]) -> bool:
    """Whether a record tells of another init than the one that lives under its UUID."""
    if record.container is None:
        return False
    told = record.container.get("pid")
    if (label := labelled.get(record.uuid)) is not None:
        return label.pid != told
    other = held.get(record.uuid)
    return other is not None and other.lives and other.pid != told
