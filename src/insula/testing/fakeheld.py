"""What a fake keeper knows of its clients, and of what it holds."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from insula.engine.keeper.held import StartPhase
from insula.kernel.fds import NO_FD, Fd

if TYPE_CHECKING:
    from insula.testing.fakehost import FakeHost, FakeProcess

Tell = Callable[[dict[str, Any], dict[str, Fd]], None]
"""Passes a message on; who gets it owns its fds."""
Reply = Callable[..., None]


@dataclass(kw_only=True, slots=True, eq=False)
class FakeClient:
    """A connection. lost: called when the keeper dies; listening: it is told events; forgetting: it tells when to
    forget how an entered process ended."""

    tell: Tell
    lost: Callable[[], None]
    listening: bool = False
    forgetting: bool = True


@dataclass(kw_only=True, slots=True, eq=False)
class FakeHeld:
    """A process that the keeper holds. execution, foreign: as `engine.keeper.held.HeldProcess` has them; pending: who
    waits for its program; killers: who wait for its end."""

    process: FakeProcess
    uuid: str
    launch: str | None
    pid: int
    born: int
    phase: StartPhase
    requester: FakeClient
    execution: str | None = None
    foreign: bool = False
    adopted: bool = False
    status: int | None = None
    channel: Fd = NO_FD
    pending: Reply | None = None
    killers: list[Reply] = field(default_factory=list)

    def is_of(self, launch: str | None) -> bool:
        return launch is None or self.launch is None or launch == self.launch

    def described(self) -> dict[str, Any]:
        """Return what clients are told of it."""
        return {
            "uuid": self.uuid,
            "id": self.execution,
            "pid": self.pid,
            "state": self.phase.name,
            "status": self.status,
        }

    def fds(self, host: FakeHost) -> dict[str, Fd]:
        fds = {"pidfd": host.pidfd_of(self.process) if self.process.lives else _ended_pidfd()}
        if self.phase is StartPhase.HELD and self.channel >= 0:
            fds["channel"] = Fd(os.dup(self.channel))
        return fds


def _ended_pidfd() -> Fd:
    return Fd(os.eventfd(1, os.EFD_CLOEXEC | os.EFD_NONBLOCK))
