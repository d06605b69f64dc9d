"""How each domain's last run ended, and why its last start failed: kept for who asks later, of this daemon or the next.

A small file a domain in the run directory: it survives us, never waits for a disk, and goes with the host's boot. Of a
domain that is no more nothing is kept.
"""

import json
import logging
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

from insula.engine.codec import loads
from insula.engine.exitstatus import ExitStatus
from insula.errors import without_errno
from insula.kernel.cgroups import Cgroup
from insula.kernel.durable import Durability, replace_file, sweep
from insula.service.runrecord import RunRecord, StopReason

LOGGER = logging.getLogger(__name__)
_NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class RunEnd:
    """How a run ended. status: its init's, as wait(2) has it, None if nobody could learn it; oom_kills: processes of
    the guest that the kernel killed for want of memory; begun, ended: seconds since 1970."""

    reason: StopReason
    status: int | None
    oom_kills: int
    begun: float
    ended: float

    @property
    def out_of_memory(self) -> bool:
        """Whether the guest ended because it had no memory left: its init was among those that were killed."""
        return self._exit.out_of_memory and self.reason is StopReason.CRASHED

    @property
    def _exit(self) -> ExitStatus:
        return ExitStatus(status=self.status, oom_kills=self.oom_kills)

    def described(self) -> dict[str, Any]:
        """Return it as JSON values; moments are nanoseconds since 1970."""
        return {
            "reason": self.reason.value,
            "status": self.status,
            "exit_status": self._exit.code,
            "signal": self._exit.signal,
            "out_of_memory": self.out_of_memory,
            "oom_kills": self.oom_kills,
            "begun": int(self.begun * _NANOSECONDS),
            "ended": int(self.ended * _NANOSECONDS),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class StartFailure:
    """Why a start failed. at: seconds since 1970."""

    text: str
    at: float

    def described(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"text": self.text, "at": int(self.at * _NANOSECONDS)}


@dataclass(frozen=True, kw_only=True, slots=True)
class UnhealthyRestarts:
    """How often in a row a domain was restarted as it was unhealthy. at: when it was last; seconds since 1970."""

    count: int
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Past:
    """What is known of a domain's past; failure: of its last start, None if that did not fail."""

    end: RunEnd | None = None
    failure: StartFailure | None = None
    unhealthy: UnhealthyRestarts | None = None

    def to_json(self) -> str:
        end, failure, unhealthy = self.end, self.failure, self.unhealthy
        return json.dumps(
            {
                "end": None
                if end is None
                else {
                    "reason": end.reason,
                    "status": end.status,
                    "oom_kills": end.oom_kills,
                    "begun": end.begun,
                    "ended": end.ended,
                },
                "failure": None if failure is None else {"text": failure.text, "at": failure.at},
                "unhealthy": None if unhealthy is None else {"count": unhealthy.count, "at": unhealthy.at},
            }
        )

    @classmethod
    def from_json(cls, text: str) -> "Past":
        """Raises: ValueError, KeyError or TypeError for anything to_json never wrote."""
        values = loads(text)
        end, failure, unhealthy = values["end"], values["failure"], values.get("unhealthy")
        return cls(
            end=None if end is None else RunEnd(**{**end, "reason": StopReason(end["reason"])}),
            failure=None if failure is None else StartFailure(**failure),
            unhealthy=None if unhealthy is None else UnhealthyRestarts(**unhealthy),
        )


NOTHING = Past()


def oom_kills_in(group: Cgroup) -> int:
    """Return how many of a group's processes were killed for want of memory; none if it is gone, or nobody counts."""
    try:
        return group.oom_kills
    except OSError:
        return 0


class PastRuns:
    """Reads and writes what is kept. What cannot be written is known as long as this daemon lives."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._known: dict[UUID, Past] = {}

    def load(self, domains: frozenset[UUID]) -> Mapping[UUID, Past]:
        """Return what is kept of these domains, and remove what is of others."""
        with suppress(OSError):
            sweep(self._directory)
            for name in os.listdir(self._directory):
                self._load(name, domains)
        return self._known

    def _load(self, name: str, domains: frozenset[UUID]) -> None:
        path = self._directory / name
        try:
            uuid = UUID(name)
            if uuid in domains:
                self._known[uuid] = Past.from_json(path.read_text())
                return
        except (OSError, ValueError, KeyError, TypeError) as error:
            LOGGER.warning("what '%s' says of a run cannot be read, and is removed: %s", path, error)
        with suppress(OSError):
            path.unlink()

    def of(self, uuid: UUID) -> Past:
        """Return what is known of a domain's past."""
        return self._known.get(uuid, NOTHING)

    def ended(self, record: RunRecord, reason: StopReason, status: int | None, oom_kills: int) -> Past:
        """Keep how a run ended, just now."""
        end = RunEnd(reason=reason, status=status, oom_kills=oom_kills, begun=record.begun, ended=time.time())
        return self._keep(record.uuid, Past(end=end, unhealthy=self.of(record.uuid).unhealthy))

    def restarted(self, uuid: UUID, unhealthy: UnhealthyRestarts) -> Past:
        """Keep that a domain is restarted, just now, as it is unhealthy."""
        return self._keep(uuid, replace(self.of(uuid), unhealthy=unhealthy))

    def failed(self, uuid: UUID, error: BaseException) -> Past:
        """Keep why a start failed, just now."""
        failure = StartFailure(text=without_errno(str(error)), at=time.time())
        return self._keep(uuid, replace(self.of(uuid), failure=failure))

    def started(self, uuid: UUID) -> Past:
        """A start succeeded: why one before did not is of no use any more."""
        past = self.of(uuid)
        return past if past.failure is None else self._keep(uuid, replace(past, failure=None))

    def forget(self, uuid: UUID) -> None:
        """Keep nothing of a domain that is no more."""
        if self._known.pop(uuid, None) is not None:
            with suppress(OSError):
                os.unlink(self._directory / str(uuid))

    def _keep(self, uuid: UUID, past: Past) -> Past:
        self._known[uuid] = past
        path, content = self._directory / str(uuid), past.to_json().encode()
        try:
            try:
                replace_file(path, content, Durability.PROCESS_DEATH)
            except FileNotFoundError:
                self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                replace_file(path, content, Durability.PROCESS_DEATH)
        except OSError as error:
            LOGGER.warning("how a run ended is not written down, and forgotten when insulad ends: %s", error)
        return past
