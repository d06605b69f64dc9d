"""Where one run of a domain stands, as the run directory has it: what must be known of it after anybody died."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any
from uuid import UUID

from insula.engine.codec import decode, encode, loads
from insula.engine.launch.holdings import Remains
from insula.engine.spec import Limits
from insula.service.seats import Seated

FORMAT = 1
"""The record's format; a daemon that finds a newer one leaves the domain alone and says so."""


class RunPhase(StrEnum):
    """Where a run stands."""

    STARTING = "starting"
    """The engine was, or is about to be, asked to launch it; nobody has been told that it runs."""
    RUNNING = "running"
    ENDING = "ending"
    """It is over, and how is known; what is left of it is being removed, then `next` happens."""


class StopReason(StrEnum):
    """Why a run ended."""

    SHUTDOWN = "shutdown"
    DESTROYED = "destroyed"
    CRASHED = "crashed"
    FAILED = "failed"
    REBOOTED = "rebooted"
    RESET = "reset"
    """Killed by us to be started again."""
    UNKNOWN = "unknown"
    """The guest ended while nobody who could be told its exit status was there."""


_FORMER = {"note": "intent", "throwaway": "ephemeral"}
"""Fields by the names that earlier versions wrote: their guests may still be running."""


KILLED = frozenset({StopReason.DESTROYED, StopReason.RESET, StopReason.CRASHED})
"""Why a run ended that we end ourselves; a guest crashes so after its core dump, where that was asked for."""
REBOOTS = frozenset({StopReason.REBOOTED, StopReason.RESET})
"""Why a run ended that the next one follows as if it were the same."""


class Next(StrEnum):
    """What follows when a run has ended."""

    OFF = "off"
    RESTART = "restart"
    PRESERVE = "preserve"
    """Off, but kept for inspection until it is destroyed or started."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRecord:
    """Where one run stands.

    container: what the engine needs to find it again (None while starting); intent: what it wrote there may be of it on
    the host, to take away after a start that was cut short; begun: seconds since the epoch; uptime: seconds
    since the host's boot when it began, 0 where an earlier version wrote it; autodestroy: it dies with the connection
    that started it; ephemeral: its writable storage is removed at its end; again: this is a restart, so
    one cut short is repeated; restarts: how many quick ones came before; due: when it, being over, is
    started again, seconds since the epoch, 0 for at once; resumed: it was paused once and goes on;
    quiesced: file systems written out for it to stand still as it does; asked: what the guest was asked for and has not
    done yet, or why it is being killed; held: the run that follows it, or this one that is starting, begins paused;
    limiting: the limits that are being put on it, which hold or not until the live definition is written down; probed:
    its definition says by what it is known to be ready, or well; ready: since when it is, seconds since the epoch, 0
    for not yet; says: what its init said of itself by then; seated: its processors, None where nobody chose any;
    claiming: those are being changed, attaching: devices are being attached or detached, likewise; reason, status (as
    wait(2) has it), next: once it is ending. Whether the guest stands still is not here: the kernel knows.
    """

    uuid: UUID
    name: str
    boot_id: str
    phase: RunPhase
    begun: float
    container: Mapping[str, Any] | None = None
    intent: Remains | None = None
    autodestroy: bool = False
    ephemeral: bool = False
    again: bool = False
    restarts: int = 0
    due: float = 0.0
    resumed: bool = False
    quiesced: int = 0
    asked: StopReason | None = None
    held: bool = False
    limiting: Limits | None = None
    uptime: float = 0.0
    probed: bool = False
    ready: float = 0.0
    says: str = ""
    seated: Seated | None = None
    claiming: bool = False
    attaching: bool = False
    reason: StopReason | None = None
    status: int | None = None
    next: Next = Next.OFF

    @property
    def age(self) -> float:
        """Seconds since the run began, however the host's clock was set meanwhile."""
        return since_boot() - self.uptime if self.uptime else max(0.0, time.time() - self.begun)

    def to_json(self) -> str:
        values = {name: getattr(self, name) for name in _NAMES}  # asdict would copy the whole container
        intent = None if self.intent is None else self.intent.encode()
        values |= {
            "uuid": str(self.uuid),
            "intent": intent,
            "limiting": encode(self.limiting),
            "seated": encode(self.seated),
        }
        return json.dumps({"format": FORMAT, **values})

    @classmethod
    def from_json(cls, text: str) -> "RunRecord":
        """Raises: ValueError, KeyError or TypeError for anything to_json never wrote."""
        values = loads(text)
        if not isinstance(values, dict) or not isinstance(values.get("uuid"), str):
            raise ValueError("it is no record of a run")
        if (found := values.pop("format")) != FORMAT:
            raise LaterFormatError(f"its format is {found}, and this daemon knows {FORMAT}")
        for former, name in _FORMER.items():
            if former in values:
                values[name] = values.pop(former)
        reason, asked, intent = values.pop("reason"), values.pop("asked"), values.pop("intent", None)
        limiting, seated = values.pop("limiting", None), values.pop("seated", None)
        return cls(
            uuid=UUID(values.pop("uuid")),
            phase=RunPhase(values.pop("phase")),
            reason=None if reason is None else StopReason(reason),
            asked=None if asked is None else StopReason(asked),
            next=Next(values.pop("next")),
            limiting=None if limiting is None else decode(Limits, limiting),
            seated=None if seated is None else decode(Seated, seated),
            intent=None if intent is None else Remains.decode(intent),
            **values,
        )


_NAMES = tuple(each.name for each in fields(RunRecord))


def ending(record: RunRecord, reason: StopReason, *, status: int | None = None, then: Next = Next.OFF) -> RunRecord:
    """Return record with the decision how the run ended and what follows."""
    return replace(record, phase=RunPhase.ENDING, reason=reason, status=status, next=then)


def since_boot() -> float:
    """Return the seconds since the host's boot, those counted for which it slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class LaterFormatError(ValueError):
    """A later insulad wrote it."""
