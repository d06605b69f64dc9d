"""What a fake keeper knows of its clients, and of what it holds."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from insula.engine.keeper.held import StartPhase
from insula.kernel.fds import NO_FD, Fd, close_all, duplicate, memory_file
from insula.testing.emptyprograms import Performance
from insula.testing.fakeprocess import FakeProcess

if TYPE_CHECKING:
    from insula.testing.fakehost import FakeHost

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
    """A process that the keeper holds. execution, foreign: as `engine.keeper.held.HeldProcess` has them; performance:
    what its first process does; pending: who waits for its program; killers: who wait for its end;
    consoles: masters of its terminals; kept: what the daemon wants to find again."""

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
    performance: Performance = field(default_factory=Performance)
    status: int | None = None
    channel: Fd = NO_FD
    pending: Reply | None = None
    killers: list[Reply] = field(default_factory=list)
    consoles: list[Fd] = field(default_factory=list)
    kept: dict[str, Fd] = field(default_factory=dict)

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
        """Return copies of what there is to hand over to who asks for its beginning, or to take it over."""
        fds = {"pidfd": host.pidfd_of(self.process) if self.process.lives else _ended_pidfd()}
        if self.phase is StartPhase.HELD and self.channel >= 0:
            fds["channel"] = duplicate(self.channel)
        return fds | {f"console{place}": duplicate(master) for place, master in enumerate(self.consoles)}

    def rings(self) -> dict[str, Fd]:
        """Return what its consoles said since somebody read them, as files that are the caller's."""
        said = {f"ring{place}": _read(master) for place, master in enumerate(self.consoles)}
        return {name: memory_file("insula-console", content) for name, content in said.items() if content}

    def take_consoles(self, fds: dict[str, Fd]) -> None:
        """Take the masters named console0 and so on out of fds."""
        while (master := fds.pop(f"console{len(self.consoles)}", None)) is not None:
            self.consoles.append(master)

    def keep(self, fds: dict[str, Fd]) -> None:
        """Take all fds; those of the same names are let go."""
        close_all(self.kept[name] for name in fds if name in self.kept)
        self.kept |= fds
        fds.clear()

    def open_fds(self) -> list[Fd]:
        """Return what it has open."""
        return [*([self.channel] if self.channel >= 0 else []), *self.consoles, *self.kept.values()]

    def close(self) -> None:
        close_all(self.open_fds())
        self.channel = NO_FD
        self.consoles.clear()
        self.kept.clear()


def _read(master: Fd) -> bytes:
    """Return what can be read from a terminal now."""
    os.set_blocking(master, False)
    said = bytearray()
    with suppress(OSError):  # nothing now, or nobody inside has it open
        while chunk := os.read(master, 65536):
            said += chunk
    return bytes(said)


def _ended_pidfd() -> Fd:
    return Fd(os.eventfd(1, os.EFD_CLOEXEC | os.EFD_NONBLOCK))
