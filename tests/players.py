"""Players of programs, for tests that hold for each: a program in a process of its own, and what came of it."""

import array
import json
import os
import resource
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from insula.engine.keeper.eventloop import EventLoop
from insula.engine.keeper.spawner import Order, Spawner, built_program
from insula.engine.program import player
from insula.engine.program.builder import Builder
from insula.engine.program.image import GO
from insula.engine.program.program import Program
from insula.engine.steps.guest.gueststep import GuestStep
from insula.kernel.fds import Fd, keep_only, sealed_file
from insula.kernel.process import CloneFlag
from tests.waiting import patience, until

Start = Callable[[int, socket.socket], int]
"""Starts a process that plays the image in a file and has the channel; returns its pid, which is our child's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How a played program ended. status: a wait status; said: its messages, with how many fds each had."""

    status: int
    said: Sequence[tuple[dict[str, Any], int]]

    @property
    def failed(self) -> tuple[int, int] | None:
        """The index and the errno that it said it failed with."""
        return next(((body["failed"], body["errno"]) for body, _ in self.said if "failed" in body), None)

    @property
    def exit_code(self) -> int:
        return os.waitstatus_to_exitcode(self.status)


def start_python(image: int, channel: socket.socket) -> int:
    pid = os.fork()
    if pid == 0:
        keep_only((image, channel.fileno()))
        player.live(image, channel.fileno())
    return pid


def start_spawned(image: int, channel: socket.socket) -> int:
    """By a spawner of its own, which ends at once: what it has cloned is our child."""
    loop, null = EventLoop(), os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    spawner = Spawner(loop, built_program(), null)
    spawner.start()
    before = {*_children(), spawner.pid}
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    spawner.give(Order(flags=CloneFlag.NOTHING, limits=limits, image=Fd(image), channel=Fd(channel.fileno())))
    (pid,) = until(lambda: _children() - before, "a process being cloned")
    spawner.close()
    os.waitid(os.P_PID, spawner.pid, os.WEXITED)
    loop.close()
    os.close(null)
    return pid


def _children() -> set[int]:
    return {int(child) for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()}


PLAYERS: Mapping[str, Start] = {"python": start_python, "spawner": start_spawned}


def builder(**more: Any) -> Builder:
    """Return a builder for this machine."""
    return Builder(last_capability=40, permitted=(1 << 41) - 1, **more)


def program_of(*inside: GuestStep, child_early: Sequence[GuestStep] = (), **more: Any) -> Program:
    """Return the program of a first process: what it does early, then a wait for go, then the rest."""
    made = builder(**more)
    for step in child_early:
        made.mark(str(step))
        step.compile(made)
    made.receive_fds()
    return _continued(made, inside)


def entering_program_of(*steps: GuestStep, **more: Any) -> Program:
    """Return the program of a process that enters, and receives init's pidfd before anything else."""
    made = builder(**more)
    made.receive_fds("init")
    return _continued(made, steps)


def _continued(made: Builder, steps: Sequence[GuestStep]) -> Program:
    for step in steps:
        made.mark(str(step))
        step.compile(made)
    return made.finished()


def image_file(program: Program) -> Fd:
    """Return a file with the image; the caller closes it."""
    return sealed_file("insula-program", program.image)


def played(start: Start, program: Program, fds: Mapping[str, int] | None = None, *, go: bool = True) -> Outcome:
    """Play a program that is given fds by their names, in one message that waits for it; go: whether one does."""
    passed = [(fds or {})[name] for name in program.passed]
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ExitStack() as opened:
        opened.callback(ours.close)
        with theirs:
            image = sealed_file("program", program.image)
            opened.callback(os.close, image)
            if go:
                rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", passed))] if passed else []
                ours.sendmsg([GO], rights)
            ours.shutdown(socket.SHUT_WR)
            pid = start(image, theirs)
        return _followed(ours, pid)


def _followed(channel: socket.socket, pid: int) -> Outcome:
    channel.settimeout(patience(20))
    said = []
    try:
        while True:
            try:
                content, ancillary, *_ = channel.recvmsg(65536, socket.CMSG_SPACE(4 * 253))
            except ConnectionResetError:
                continue
            if not content:
                break
            fds = array.array("i")
            for _, _, data in ancillary:
                fds.frombytes(data)
            for fd in fds:
                os.close(fd)
            body = json.loads(content)
            if "cloned" not in body:  # which only the spawner's say, before anything else
                said.append((body, len(fds)))
    except TimeoutError:
        os.kill(pid, signal.SIGKILL)
    return Outcome(status=os.waitpid(pid, 0)[1], said=said)
