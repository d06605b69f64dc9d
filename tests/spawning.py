"""A keeper of only a spawner: what tests of it, and of the programs that its children play, need."""

import os
import select
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from insula.engine.keeper import spawner
from insula.engine.keeper.eventloop import EventLoop
from insula.engine.keeper.protocol import receive
from insula.engine.keeper.spawner import Order, Spawner, built_program
from insula.kernel.fds import NO_FD, Fd, memory_file
from insula.kernel.process import CloneFlag, pid_of
from tests.waiting import patience, scaled, until

SPAWNERS = frozenset({"insula-spawner\n", "memfd:insula-sp\n"})
"""What a spawner is called; the latter while it is executed and has not named itself yet."""


class Spawned:
    """A process that was ordered, and our end of its channel."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self.pidfd = -1
        self.pid = 0
        channel.settimeout(patience(20))

    def hear(self) -> dict[str, Any] | None:
        """Return what it says next as JSON, None at the end; descriptors are taken or closed."""
        message = receive(self.channel)
        if message is None:
            return None
        if "pidfd" in message.fds and self.pidfd < 0:
            self.pidfd = message.fds.pop("pidfd")
            self.pid = pid_of(self.pidfd) or 0
        message.close()
        return message.body

    def began(self) -> "Spawned":
        assert self.hear() == {"cloned": True}
        return self

    def raw(self) -> bytes:
        return self.channel.recv(65536)

    def hand(self, fds: dict[str, int] | None = None) -> None:
        """Send a message of one byte with fds."""
        socket.send_fds(self.channel, [b"\1"], list((fds or {}).values()))

    def status(self) -> int:
        """Reap it; return its exit status, a signal negative."""
        ended = select.poll()
        ended.register(self.pidfd, select.POLLIN)
        assert ended.poll(scaled(20) * 1000), f"{self.pid} does not end"
        result = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)
        assert result is not None
        return result.si_status if result.si_code == os.CLD_EXITED else -result.si_status

    def kill(self) -> int:
        """Kill and reap it; return its status."""
        self._signal()
        return self.status()

    def end(self) -> None:
        """Kill it, and have it give up if it is not known yet."""
        self._signal()
        self.channel.close()

    def _signal(self) -> None:
        if self.pidfd >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def reaped(self) -> bool:
        """Reap it if it has ended and is not reaped yet; return whether it is gone."""
        try:
            return self.pidfd < 0 or os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | os.WNOHANG) is not None
        except ChildProcessError:
            return True

    def close(self) -> None:
        self.channel.close()
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1


class SpawnerAlone:
    """A loop and a spawner. program: its bytes, if not those beside the source; waits: until it is ready."""

    def __init__(self, program: bytes | None = None, *, waits: bool = True) -> None:
        self.loop = EventLoop()
        self._null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        self.spawner = Spawner(self.loop, built_program() if program is None else program, self._null)
        if waits:
            self.spawner.start()
        else:
            self.spawner._start()
        self._spawned: list[Spawned] = []

    def order(self, image: bytes, flags: CloneFlag = CloneFlag.NOTHING, **more: Any) -> Spawned:
        """Order a process that plays image, and return it, cloned or not."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        file = memory_file("image", image)
        try:
            order = Order(flags=flags, image=file, channel=Fd(theirs.fileno()), **{"limits": (1024, 4096), **more})
            self.spawner.give(order)
        except BaseException:
            ours.close()
            raise
        finally:
            os.close(file)
            theirs.close()
        self._spawned.append(Spawned(ours))
        return self._spawned[-1]

    def turn_until(self, condition: Callable[[], Any], what: str) -> Any:
        """Serve the loop until condition holds."""

        def turned() -> Any:
            self.loop.after(0.001, lambda: None)
            self.loop.turn()
            return condition()

        return until(turned, what, 20)

    def close(self) -> None:
        self.spawner.close()
        for spawned in self._spawned:
            spawned.end()
        # All at once: the end of a PID namespace's init waits until its others are reaped.
        until(lambda: reap() + [spawned.reaped() for spawned in self._spawned].count(False) == 0, "the end of all")
        for spawned in self._spawned:
            spawned.close()
        self.loop.close()
        os.close(self._null)


def _forked(flags: CloneFlag) -> tuple[int, Fd]:
    """Fork as `clone` does, with the interpreter's hooks: the tests' process has threads, and one of them may wait for
    the interpreter this very moment. A child made without the hooks would wait for that thread, which it does not have.
    """
    assert flags == CloneFlag.NOTHING
    pid = os.fork()
    return pid, Fd(os.pidfd_open(pid)) if pid else NO_FD


spawner.clone = _forked  # type: ignore[assignment,attr-defined]


def spawned_children() -> list[int]:
    """Return our children that are a spawner, or were cloned by one and have executed nothing."""
    found = []
    for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        with suppress(OSError):
            if Path(f"/proc/{child}/comm").read_text() in SPAWNERS | {"insula-child\n"}:
                found.append(int(child))
    return found


def reap() -> int:
    """Reap those of these that have ended; return how many are left."""
    for child in spawned_children():
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG)
    return len(spawned_children())
