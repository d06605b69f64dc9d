"""The engine inside one program: facts, a keeper of its own, a launcher over it. No daemon, no files.

Calls block, and may come from several threads: one at a time speaks with the keeper. The keeper reads the guests'
consoles, so that no guest ever waits for a reader, and keeps what they said last. When the program ends, however that
is, the keeper ends too and takes its guests along. A program that was killed leaves empty control groups behind; they
bear its pid, and the next program that makes an engine removes them.
"""

import contextlib
import os
import select
import subprocess
import threading
import time
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from insula.engine.exitstatus import ExitStatus
from insula.engine.facts import Facts
from insula.engine.interfaceperformer import InterfacePerformer
from insula.engine.keeper.link import BlockingLink, KeeperEvent, completed
from insula.engine.keeper.protocol import EventKind, Message, Verb
from insula.engine.keeper.startup import private_keeper
from insula.engine.launch.launcher import Launcher
from insula.engine.launch.runningcontainer import Running
from insula.engine.launch.systemdscope import Manager
from insula.engine.look.accountlook import find_with_patience
from insula.engine.look.privatelooker import PrivateLooker
from insula.engine.spec import CgroupPlacement, ContainerSpec
from insula.errors import AccessDeniedError, OperationTimeoutError
from insula.kernel.cgroups import Hierarchies, labelled, remove_empty_partitions, set_label
from insula.kernel.fds import contents
from insula.kernel.privileges import mask_of, permitted_mask
from insula.kernel.process import start_time

T = TypeVar("T")


class Engine:
    """What containers of one program share: a keeper of their own. Containers that are given none share one.

    interfaces: who connects containers to networks, such as `insula.network.netlink.NetlinkPerformer()`; without, they
    have a loopback interface only. keeper_log: an fd for the keeper's complaints.

        with Engine() as engine:
            for number in range(10):
                Container("/srv/root", init=["/bin/worker"], ephemeral=True, engine=engine).start()
    """

    def __init__(self, *, interfaces: InterfacePerformer | None = None, keeper_log: int | None = None) -> None:
        """Raises: AccessDeniedError if this program may not make containers."""
        refuse_unless_root()
        self.facts = Facts.detect()
        remove_abandoned(self.facts.hierarchies)
        self._lock = threading.RLock()
        self._ends: dict[str, int | None] = {}
        self.looker = PrivateLooker()
        """Looks into its guests."""
        channel, self._keeper = private_keeper(log=keeper_log)
        self._link = BlockingLink(channel, self._note)
        self.launcher = Launcher(
            facts=self.facts, link=self._link, interfaces=interfaces, find_account=find_with_patience
        )
        hello = self.ask(Verb.HELLO, {"consoles": False, "forgetting": False})
        hello.close()
        succession = self.launcher.succession
        succession.permitted = int(hello.body.get("permitted", succession.permitted))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def works(self) -> bool:
        """Whether its keeper lives."""
        return self._keeper.poll() is None

    def close(self) -> None:
        """End the keeper, and with it every guest that is left."""
        remove_empty_partitions(self.facts.hierarchies)
        self.launcher.close()
        self.looker.close()
        with self._lock:
            self._link.close()
        try:
            self._keeper.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._keeper.kill()
            self._keeper.wait()

    def launch(self, spec: ContainerSpec, *, paused: bool) -> Running:
        """Launch a container of this program's."""
        running = self.do(self.launcher.launch(spec, paused=paused))
        if self.facts.manager is Manager.NONE:
            # Below a scope, systemd removes what is empty.
            set_label(running.group, label_of_program(os.getpid()))
        return running

    def destroy(self, running: Running) -> ExitStatus:
        """Kill a container if it lives, and take away all that was made for it. May be called again."""
        with self._lock:
            try:
                return completed(self.launcher.teardown.destroy(running))
            finally:
                self._ends.pop(running.uuid, None)

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run one of the launcher's coroutines and return its result."""
        with self._lock:
            return completed(work)

    def ask(self, verb: Verb, body: dict[str, Any]) -> Message:
        """Return the keeper's answer; the caller closes it."""
        with self._lock:
            return completed(self._link.answer(self._link.ask(verb, body, {})))

    def said(self, uuid: str) -> list[bytes]:
        """Return what each console of a guest said since the last time, at most 64 KiB each."""
        answer = self.ask(Verb.FETCH, {"uuid": uuid})
        try:
            rings = sorted(name for name in answer.fds if name.startswith("ring"))
            return [contents(answer.fds[name]) for name in rings]
        finally:
            answer.close()

    def end_of(self, name: str, pidfd: int, timeout: float | None) -> int | None:
        """Return the wait status of a guest (by UUID) or an entered process (by id) once it has ended.

        None if nobody can know it any more. Raises: OperationTimeoutError.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        self.await_end(pidfd, timeout)
        while True:
            with self._lock:
                if name in self._ends:
                    return self._ends.pop(name)
                if _readable(self._link.fileno(), _TURN):
                    self._link.dispatch()
            if deadline is not None and time.monotonic() > deadline:
                raise OperationTimeoutError(f"the keeper does not tell how it ended within {timeout:g} s")

    def await_end(self, pidfd: int, timeout: float | None) -> None:
        """Return once the process behind a pidfd has ended. Raises: OperationTimeoutError."""
        if not _readable(pidfd, timeout):
            raise OperationTimeoutError(f"it has not ended within {timeout:g} s")

    def _note(self, event: KeeperEvent) -> None:
        self._ends[event.uuid if event.kind is EventKind.EXITED else event.execution] = event.status


def refuse_unless_root() -> None:
    """Raises: AccessDeniedError if this program may not make containers."""
    if os.geteuid() != 0:
        raise AccessDeniedError(
            "containers of a program's own need root: run this program as root (sudo), or have insulad make them "
            "(insula.connect)"
        )
    if not permitted_mask() & mask_of(_NEEDED):
        raise AccessDeniedError(
            "containers need a root with the capability sys_admin, which this one lacks: inside a container, let that "
            "one be privileged or nest others"
        )


_NEEDED = ("sys_admin",)


def label_of_program(pid: int) -> str:
    """Return what names a program for good: its pid and when it started. Raises: OSError if there is none."""
    return f"{pid} {start_time(pid)}"


def remove_abandoned(hierarchies: Hierarchies) -> None:
    """Remove the empty groups of programs that have ended without doing so."""
    for group, label in labelled(hierarchies, CgroupPlacement().partition):
        try:
            alive = label == label_of_program(int(label.split()[0]))
        except (OSError, ValueError, IndexError):
            alive = False
        with contextlib.suppress(OSError):
            if not alive and not group.populated:
                group.remove(0)


_PATIENCE = 10.0
_TURN = 0.05
"""Seconds to wait for an event before other threads get a turn."""


def _readable(fd: int, seconds: float | None) -> bool:
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    return bool(poller.poll(None if seconds is None else max(0.0, seconds) * 1000))
