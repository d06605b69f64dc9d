"""What becomes of processes that have ended: how they did is learnt, told to whom it concerns, and let go of.

A child of the keeper's is reaped; of any other, which a keeper held that died, the reaper or the kernel is asked.
"""

from collections.abc import Callable
from typing import Any

from insula.engine.keeper.clients import Clients, PendingRequest
from insula.engine.keeper.eventloop import EventLoop
from insula.engine.keeper.held import HeldProcess, StartPhase
from insula.engine.keeper.heldtable import HeldTable
from insula.engine.keeper.mountspace import unstage_mounts
from insula.engine.keeper.protocol import EventKind
from insula.engine.keeper.starting import StartingProcesses
from insula.engine.keeper.strangers import Strangers
from insula.kernel.process import wait_status


class Exits:
    """The ends of all that is held. dropped: called when something is held no more; concluded: when
    something has ended, and that is told."""

    def __init__(
        self,
        loop: EventLoop,
        clients: Clients,
        *,
        held: HeldTable,
        starting: StartingProcesses,
        strangers: Strangers,
        dropped: Callable[[], None],
        concluded: Callable[[], object] = lambda: None,
    ) -> None:
        self._loop = loop
        self._clients = clients
        self._held = held
        self._starting = starting
        self._strangers = strangers
        self._dropped = dropped
        self._concluded = concluded
        self._killers: dict[HeldProcess, list[PendingRequest]] = {}
        self._failures: dict[str, dict[str, Any]] = {}
        """Why guests that nobody asked about yet could not be started, by UUID."""

    def failure_of(self, uuid: str) -> dict[str, Any] | None:
        """Return why a guest could not be started, once."""
        return self._failures.pop(uuid, None)

    def forget_failures(self) -> None:
        """Who would have asked is gone."""
        self._failures.clear()

    def kill_for(self, request: PendingRequest, process: HeldProcess) -> None:
        """Kill a process, and answer its status once it is reaped."""
        self._killers.setdefault(process, []).append(request)
        self._starting.kill(process)

    def drop_entered(self, uuid: str) -> None:
        """Let go of what has ended in a guest."""
        for entered in self._held.inside(uuid):
            if entered.phase is StartPhase.EXITED:
                self.drop(entered)

    def child_exited(self, pid: int) -> bool:
        """Reap a child that has ended, and return whether it is one that is held."""
        process = self._held.child(pid)
        if process is None:
            # It may have said that it is there in the last moment.
            self._starting.listen_to_ordered()
            process = self._held.child(pid)
        if process is not None:
            self.exited(process)
        return process is not None

    def exited(self, process: HeldProcess) -> None:
        """A process has ended: learn how, and tell whom it concerns."""
        if process.adopted:
            self._starting.listen_to(process)
            self._loop.unwatch(process.pidfd)
            self._strangers.learn(process, lambda status: self._learnt(process, status))
            return
        status = wait_status(process.pidfd)
        if status is not None:
            self._loop.unwatch(process.pidfd)
            self._starting.listen_to(process)
            process.status = status
            if not self._starting.awaits_end_of(process):
                self.conclude(process)

    def _learnt(self, process: HeldProcess, status: int | None) -> None:
        if process.phase is not StartPhase.EXITED:
            process.status = status
            self.conclude(process)

    def conclude(self, process: HeldProcess) -> None:
        """How a process ended is known, as far as it will be: tell it, and let go of what nobody will ask for."""
        self._loop.unwatch(process.pidfd)
        if process.phase is not StartPhase.RUNNING:
            unstage_mounts(process.name)
            failure = self._starting.conclude_failed(process)
            if failure is not None and process.execution is None and process.phase is not StartPhase.HELD:
                self._failures[process.guest] = failure
        # How a program ended is for who listens now: no later client waits for that.
        told = process.execution is not None and self._clients.all_just_listen
        forgotten = process.guest not in self._held.guests and not process.foreign
        if process.phase in (StartPhase.RUNNING, StartPhase.HELD):
            process.phase = StartPhase.EXITED
            self._announce(process, held=not (told or forgotten))
        if process.phase is not StartPhase.EXITED or told or forgotten:
            self.drop(process)
        for request in self._killers.pop(process, ()):
            self._clients.answer(request, {"status": process.status})
        self._concluded()

    def _announce(self, process: HeldProcess, *, held: bool) -> None:
        kind = EventKind.EXITED if process.execution is None else EventKind.EXECUTED
        event = {"event": kind.value, "uuid": process.guest, "id": process.execution, "status": process.status}
        event |= {} if held else {"held": False}
        self._clients.tell(event)
        for console in process.consoles:
            if self._loop.watches(console.master):
                console.drain()
                self._loop.unwatch(console.master)

    def drop(self, process: HeldProcess) -> None:
        """Hold it no more."""
        self._held.remove(process)
        for master in process.masters().values():
            self._loop.unwatch(master)
        self._loop.unwatch(process.pidfd)
        if process.adopted:
            self._strangers.forget(process)
        process.close()
        self._dropped()
