"""Processes that exist in a fake host's memory only."""

from __future__ import annotations

from dataclasses import dataclass, field

from insula.kernel.fds import NO_FD, Fd

UNLEARNED = -1
"""No wait status: nobody learned how it ended."""


@dataclass(kw_only=True, slots=True, eq=False)
class FakeProcess:
    """A guest's init, or what was put into a guest. born: its start time in ticks; executed: its program runs; status:
    as wait(2) has it, None while it lives; ending: readable once it has ended, as a pidfd is; channel: where a held one
    waits to be told; execution: the id of one that was put in, None for init; terminals: its ends of its consoles."""

    pid: int
    born: int
    uuid: str
    launch: str | None
    group: str
    ending: Fd
    executed: bool = False
    status: int | None = None
    channel: Fd = NO_FD
    execution: str | None = None
    terminals: list[Fd] = field(default_factory=list)

    @staticmethod
    def gone(pid: int, born: int, uuid: str) -> FakeProcess:
        """Return a process that ended before anybody here knew it."""
        return FakeProcess(pid=pid, born=born, uuid=uuid, launch=None, group="", ending=NO_FD, status=UNLEARNED)

    @property
    def is_guest(self) -> bool:
        """Whether it is an init whose program runs, or waits for nothing but a word to run."""
        return self.execution is None and (self.executed or self.channel >= 0)

    @property
    def lives(self) -> bool:
        return self.status is None
