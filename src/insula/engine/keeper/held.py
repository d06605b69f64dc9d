"""What the keeper holds: guests, entered processes, and the output of consoles that nobody reads just now."""

import os
from enum import Enum

from insula.engine.tokenbucket import TokenBucket
from insula.kernel.fds import Fd, close_all, memory_file

RING_MAX = 64 * 1024
"""Bytes of a console's latest output that are kept while no daemon reads it."""
READ_RATE = 4 * 1024 * 1024
"""Bytes a second that are read of one console in the long run: a guest's flood is not the keeper's work."""
READ_BURST = 16 * 1024 * 1024
_LOOK_COST = 32 * 1024
"""What a look counts for, be there ever so little: pieces of a few bytes cost as much time as large ones."""
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


class HeldConsole:
    """The master of a guest's terminal, and what was read from it meanwhile. pause: seconds to leave it alone."""

    __slots__ = ("_allowance", "master", "pause", "ring")

    def __init__(self, master: Fd) -> None:
        self.master = master
        self.ring = Ring()
        self.pause = 0.0
        self._allowance = TokenBucket(READ_RATE, READ_BURST)

    def drain(self) -> bool:
        """Read what is there, without waiting and not for long; return whether there may be more."""
        os.set_blocking(self.master, False)
        self.pause = self._allowance.take(_LOOK_COST)
        for _ in range(_READS_AT_A_TIME):
            try:
                chunk = os.read(self.master, RING_MAX)
            except OSError:
                # EAGAIN: nothing now. EIO: no process has the terminal open at the moment.
                return False
            if not chunk:
                return False  # no terminal
            self.ring.append(chunk)
            self.pause = self._allowance.take(len(chunk))
            if self.pause:
                break
        return True


class StartPhase(Enum):
    """How far a process has come. Until RUNNING it is still ours."""

    ORDERED = "being cloned"
    CLONED = "waiting to go"
    STARTING = "performing its steps"
    HELD = "held"
    EXECUTING = "executing"
    RUNNING = "running"
    EXITED = "exited"


class HeldProcess:
    """A process in the keeper's care. Of one that is only ordered yet, pid and pidfd are 0 and NO_FD.

    guest: the UUID of the guest it is init of, or belongs to; execution: the id of a process that entered, None for
    init; launch: which one it came from, None if nobody said; adopted: it is no child of the keeper's, so only the
    kernel may know how it ended; foreign: it entered a guest that another keeper holds; kept: fds that the daemon wants
    to find again under their names.
    """

    __slots__ = (
        "adopted",
        "consoles",
        "execution",
        "foreign",
        "guest",
        "kept",
        "launch",
        "phase",
        "pid",
        "pidfd",
        "status",
    )

    def __init__(self, guest: str, pid: int, pidfd: Fd, *, execution: str | None = None, adopted: bool = False) -> None:
        self.guest = guest
        self.execution = execution
        self.pid = pid
        self.pidfd = pidfd
        self.launch: str | None = None
        self.adopted = adopted
        self.foreign = False
        self.phase = StartPhase.RUNNING if adopted else StartPhase.CLONED if pidfd >= 0 else StartPhase.ORDERED
        self.status: int | None = None
        self.consoles: list[HeldConsole] = []
        self.kept: dict[str, Fd] = {}

    @property
    def is_known(self) -> bool:
        """Whether it has been heard of: what is ordered only may not be there, or no more."""
        return self.pidfd >= 0

    @property
    def name(self) -> str:
        """Names it among all processes; fit for a file's name."""
        return self.guest if self.execution is None else f"{self.guest}.{self.execution}"

    def is_of(self, launch: str | None) -> bool:
        """Whether who asks means this one: a UUID alone could mean the guest of a launch they know nothing of."""
        return launch is None or self.launch is None or launch == self.launch

    def hold_consoles(self, fds: dict[str, Fd]) -> None:
        """Take the masters named console0 and so on out of fds."""
        number = 0
        while (master := fds.pop(f"console{number}", None)) is not None:
            self.consoles.append(HeldConsole(master))
            number += 1

    def keep(self, fds: dict[str, Fd]) -> None:
        """Take all fds; those of the same names are let go."""
        close_all(self.kept[name] for name in fds if name in self.kept)
        self.kept |= fds
        fds.clear()

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
        close_all([self.pidfd, *self.kept.values()])
        self.kept.clear()
        self.drop_consoles()

    def drop_consoles(self) -> None:
        close_all(self.masters().values())
        self.consoles.clear()
