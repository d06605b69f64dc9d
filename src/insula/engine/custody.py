"""What the keeper holds: guests, entered processes, and the output of consoles that nobody reads just now."""

import os
from enum import Enum

from insula.kernel.fds import Fd, close_all, memory_file

RING_MAX = 64 * 1024
"""Bytes of a console's latest output that are kept while no daemon reads it."""
_READS_AT_A_TIME = 16


class Ring:
    """The latest bytes of a stream."""

    __slots__ = ("_bytes",)

    def __init__(self) -> None:
        self._bytes = bytearray()

    def __len__(self) -> int:
        return len(self._bytes)

    def append(self, chunk: bytes) -> None:
        """Add bytes; the oldest make room."""
        self._bytes += chunk
        if len(self._bytes) > RING_MAX:
            del self._bytes[: len(self._bytes) - RING_MAX]

    def take(self) -> bytes:
        """Return all bytes and forget them."""
        taken = bytes(self._bytes)
        self._bytes.clear()
        return taken


class Console:
    """The master of a guest's terminal, and what was read from it meanwhile."""

    __slots__ = ("master", "ring")

    def __init__(self, master: Fd) -> None:
        self.master = master
        self.ring = Ring()

    def drain(self) -> bool:
        """Read what is there, without waiting and not for long; return whether there may be more."""
        os.set_blocking(self.master, False)
        for _ in range(_READS_AT_A_TIME):
            try:
                chunk = os.read(self.master, RING_MAX)
            except OSError:
                # EAGAIN: nothing now. EIO: no process has the terminal open at the moment.
                return False
            self.ring.append(chunk)
        return True


class Stage(Enum):
    """How far a process has come. Until RUNNING it is still ours."""

    CLONED = "waiting to go"
    STARTING = "performing its steps"
    HELD = "held"
    EXECUTING = "executing"
    RUNNING = "running"
    EXITED = "exited"


class Ward:
    """A process in the keeper's care.

    guest: the UUID of the guest it is init of, or belongs to; execution: the id of a process that entered, None for
    init; adopted: it is no child of the keeper's, so only the kernel may know how it ended.
    """

    __slots__ = ("adopted", "consoles", "execution", "guest", "pid", "pidfd", "stage", "status")

    def __init__(self, guest: str, pid: int, pidfd: Fd, *, execution: str | None = None, adopted: bool = False) -> None:
        self.guest = guest
        self.execution = execution
        self.pid = pid
        self.pidfd = pidfd
        self.adopted = adopted
        self.stage = Stage.RUNNING if adopted else Stage.CLONED
        self.status: int | None = None
        self.consoles: list[Console] = []

    @property
    def name(self) -> str:
        """Names it among all wards; fit for a file's name."""
        return self.guest if self.execution is None else f"{self.guest}.{self.execution}"

    def hold_consoles(self, fds: dict[str, Fd]) -> None:
        """Take the masters named console0 and so on out of fds."""
        number = 0
        while (master := fds.pop(f"console{number}", None)) is not None:
            self.consoles.append(Console(master))
            number += 1

    def masters(self) -> dict[str, Fd]:
        """Return the terminals' masters by name."""
        return {f"console{number}": console.master for number, console in enumerate(self.consoles)}

    def rings(self) -> dict[str, Fd]:
        """Return what the consoles said while nobody read them, as files that the caller closes, and forget it."""
        return {
            f"ring{number}": memory_file("insula-console", console.ring.take())
            for number, console in enumerate(self.consoles)
            if console.ring
        }

    def close(self) -> None:
        close_all([self.pidfd])
        self.drop_consoles()

    def drop_consoles(self) -> None:
        close_all(self.masters().values())
        self.consoles.clear()
