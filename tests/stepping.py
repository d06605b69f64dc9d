"""A spawner and all that it clones, held before each of their system calls until the test says what happens there.

They are under a seccomp filter that asks about every call (seccomp_unotify(2)), so every instant is met exactly.
"""

import ctypes
import fcntl
import os
import select
import signal
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple, NoReturn

import pytest

from tests.injection import listeners, taken_from
from tests.spawning import SpawnerAlone, spawned_children
from tests.waiting import scaled, until

_SECCOMP = {"x86_64": 317, "aarch64": 277}[os.uname().machine]
_NEW_LISTENER, _WAIT_KILLABLE = 1 << 3, 1 << 5
_ASK_ABOUT_ALL = struct.pack("=HBBI", 0x06, 0, 0, 0x7FC00000)
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_NOTIFICATION, _ANSWER = struct.Struct("=QIIiIQ6Q"), struct.Struct("=QqiI")
_CONTINUE = 1


class Call(NamedTuple):
    """A call that is about to be made, by a process that stands still until it is let go or killed."""

    cookie: int
    pid: int
    number: int


class SteppedSpawner:
    """A spawner alone, whose calls wait for `go`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(os, "execve", _executed_asking(os.execve))
            self.alone = SpawnerAlone(waits=False)
        spawner = self.alone.spawner
        until(lambda: listeners(spawner.pid), "the filter of the spawner")
        pidfd = os.pidfd_open(spawner.pid)
        self._listener = taken_from(pidfd, listeners(spawner.pid)[0])
        os.close(pidfd)

    def next(self) -> Call | None:
        """Return the next call, None if whoever could make one has ended."""
        poller = select.poll()
        poller.register(self._listener, select.POLLIN)
        while True:
            ready = poller.poll(scaled(20) * 1000)
            assert ready, "neither a call nor an end comes"
            if ready[0][1] & select.POLLHUP:
                return None
            asked = bytearray(_NOTIFICATION.size)
            with suppress(FileNotFoundError):  # it was killed meanwhile
                fcntl.ioctl(self._listener, _RECEIVE, asked)
                cookie, pid, _, number, *_ = _NOTIFICATION.unpack(asked)
                return Call(cookie, pid, number)

    def go(self, call: Call) -> None:
        """Let it be made; one whose process was killed is fine."""
        with suppress(FileNotFoundError):
            fcntl.ioctl(self._listener, _SEND, bytearray(_ANSWER.pack(call.cookie, 0, 0, _CONTINUE)))

    def step_until(self, wanted: Callable[[Call], Any]) -> Call:
        """Let calls be made, up to the first that is wanted; return that one."""
        while True:
            call = self.next()
            assert call is not None, "all have ended before what was wanted"
            if wanted(call):
                return call
            self.go(call)

    def idle(self) -> None:
        """Step until the spawner is about to wait for orders."""
        receive = {"x86_64": 47, "aarch64": 212}[os.uname().machine]
        self.go(self.step_until(lambda call: call.pid == self.alone.spawner.pid and call.number == receive))

    def run(self) -> None:
        """Let all calls be made until everything under the filter has ended."""
        while (call := self.next()) is not None:
            self.go(call)

    def close(self) -> None:
        for child in spawned_children():
            os.kill(child, signal.SIGKILL)
        server = threading.Thread(target=self.run)
        server.start()
        self.alone.close()
        server.join()
        os.close(self._listener)


def _executed_asking(execute: Callable[..., NoReturn]) -> Callable[..., NoReturn]:
    # Without letting go of the interpreter's lock: who waits for it in the parent is not there in the child to take it.
    libc = ctypes.PyDLL(None, use_errno=True)
    program = ctypes.create_string_buffer(_ASK_ABOUT_ALL)

    def executed(*arguments: Any) -> NoReturn:
        head = struct.pack("=HxxxxxxQ", 1, ctypes.addressof(program))
        libc.syscall(_SECCOMP, 1, _NEW_LISTENER | _WAIT_KILLABLE, head)
        execute(*arguments)

    return executed
