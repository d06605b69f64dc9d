"""The words that keepers, and those who start keepers, exchange with the reaper; `reaper.py` lists them."""

import array
import os
import socket
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from insula.engine.keeper.eventloop import READABLE, WRITABLE, EventLoop

VERSION = "1"
PATIENCE = 5.0
"""Seconds the reaper has for an answer."""
_ANSWER_MAX = 64 * 1024

Results = list[str] | None
"""What an answer says after "ok"; None for an error, and if there is no reaper."""


class ReaperLink:
    """A keeper's way to its reaper, which may die before it, or never have been: then every answer is None."""

    def __init__(self, loop: EventLoop, channel: socket.socket | None) -> None:
        self._loop = loop
        self._channel = channel
        self._last = 0
        self._asked: dict[int, tuple[Callable[[Results], None], int]] = {}
        self._outgoing: deque[bytes] = deque()
        if channel is not None:
            channel.setblocking(False)
            loop.watch(channel.fileno(), READABLE, self._handle)

    def ask(self, *words: str | int, told: Callable[[Results], None] = lambda _: None) -> None:
        """Have `told` called with the answer, at once if there is no reaper."""
        if self._channel is None:
            told(None)
            return
        self._last += 1
        number = self._last
        self._asked[number] = (told, self._loop.after(PATIENCE, lambda: self._told(number, None)))
        self._outgoing.append("\0".join(map(str, (number, *words))).encode())
        self._send()

    def _told(self, number: int, results: Results) -> None:
        told, deadline = self._asked.pop(number, (None, -1))
        if told is not None:
            self._loop.cancel(deadline)
            told(results)

    def _send(self) -> None:
        if self._channel is None:
            return
        try:
            while self._outgoing:
                self._channel.send(self._outgoing[0])
                self._outgoing.popleft()
            self._loop.rewatch(self._channel.fileno(), READABLE)
        except BlockingIOError:
            self._loop.rewatch(self._channel.fileno(), READABLE | WRITABLE)
        except OSError:
            self._outgoing.clear()  # the end of file says so, to everybody who waits

    def _handle(self, events: int) -> None:
        if events & WRITABLE:
            self._send()
        while self._channel is not None:
            try:
                answer = self._channel.recv(_ANSWER_MAX)
            except BlockingIOError:
                return
            except OSError:
                answer = b""
            if not answer:
                self._lost()
                return
            number, results = _parsed(answer)
            self._told(number, results)

    def _lost(self) -> None:
        if self._channel is not None:
            self._loop.unwatch(self._channel.fileno())
            self._channel.close()
            self._channel = None
        self._outgoing.clear()
        for number in list(self._asked):
            self._told(number, None)


def converse(channel: socket.socket, *words: str | int, fds: Sequence[int] = ()) -> list[str]:
    """Ask over a channel of our own, and wait. Raises: OSError, also for an answered error, or no answer in time."""
    channel.settimeout(PATIENCE)
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    channel.sendmsg(["\0".join(map(str, (0, *words))).encode()], rights)
    answer = channel.recv(_ANSWER_MAX)
    if not answer:
        raise ConnectionResetError("the reaper is gone")
    _, results = _parsed(answer)
    if results is None:
        raise OSError(f"the reaper does not do it: {answer.decode(errors='replace')!r}")
    return results


def spawn(
    channel: socket.socket, command: Sequence[str], environment: Mapping[str, str], streams: Sequence[int]
) -> int:
    """Have a command executed as the reaper's child, below our own root; return its pid.

    streams: its descriptors from 0 on. Raises: OSError.
    """
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        pairs = [f"{name}={value}" for name, value in environment.items()]
        (pid,) = converse(channel, "spawn", len(pairs), *pairs, *command, fds=(root, *streams))
        return int(pid)
    finally:
        os.close(root)


def _parsed(answer: bytes) -> tuple[int, Results]:
    fields = answer.decode(errors="replace").split("\0")
    number = int(fields[0]) if fields[0].isdecimal() else -1
    return number, fields[2:] if fields[1:2] == ["ok"] else None
