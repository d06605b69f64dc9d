"""What the keeper is asked. What becomes of processes that have ended is in `engine.keeper.exits`.

It clones, forwards, watches and reaps; it decides nothing, and never waits for a child. The process is in
`engine.keeper.main`, the messages are drawn in `engine.keeper.protocol`.
"""

import os
import socket
import sys
from collections.abc import Callable

from insula.engine.keeper.children import Children
from insula.engine.keeper.clients import Clients, KeeperClient, PendingRequest, RefusalError, StartFailedError
from insula.engine.keeper.cloning import Begun, Cloner
from insula.engine.keeper.eventloop import READABLE, EventLoop
from insula.engine.keeper.exits import Exits
from insula.engine.keeper.farewell import Farewell
from insula.engine.keeper.held import HeldProcess, StartPhase
from insula.engine.keeper.heldtable import HeldTable
from insula.engine.keeper.lonereading import read_alone
from insula.engine.keeper.mountspace import stage_mounts, unstage_mounts
from insula.engine.keeper.protocol import VERSION, Message, Verb, passed_fds
from insula.engine.keeper.reaperlink import ReaperLink
from insula.engine.keeper.requestfields import boolean, check_room, name_of, number_of, seconds_of
from insula.engine.keeper.spawner import Spawner
from insula.engine.keeper.starting import PATIENCE, StartingProcesses
from insula.engine.keeper.strangers import Strangers
from insula.kernel.fds import close_all
from insula.kernel.privileges import permitted_mask
from insula.kernel.process import has_ended, pid_of

LINGERING = 10.0
"""Seconds that a listening keeper stays with nothing to hold and nobody connected: a daemon that restarts finds it."""


class Keeper:
    """All that is held.

    limits: the fd limits that guests shall start with; reaper: a channel to it, if any; spawner: the program of the
    spawner, none if the keeper is to fork itself; null: a null device; ends: a file for how guests ended that
    nobody has asked for when it is told to end, -1 for none.
    """

    def __init__(
        self,
        limits: tuple[int, int],
        *,
        reaper: socket.socket | None = None,
        spawner: bytes = b"",
        null: int = 0,
        ends: int = -1,
    ) -> None:
        self._held = HeldTable()
        self._farewell = Farewell(self._held, ends)
        self._leaving: int | None = None
        """When it ends if nothing happens; None for one that ends with its last client."""
        self._loop = EventLoop()
        self.clients = Clients(self._loop, self._serve, self._lost)
        self._children = Children(self._loop, self._child_exited)
        self._spawner = Spawner(self._loop, spawner, null)
        self._cloner = Cloner(limits, self._spawner)
        self._starting = StartingProcesses(
            self._loop,
            self.clients,
            cloned=self._watch,
            never=self._conclude,
            settled=self._settled,
            ended=self._conclude,
            give_up=self._cloner.give_up,
        )
        self._strangers = Strangers(ReaperLink(self._loop, reaper))
        self._exits = Exits(
            self._loop,
            self.clients,
            held=self._held,
            starting=self._starting,
            strangers=self._strangers,
            dropped=self._linger,
            concluded=lambda: self._loop.after(0, self._leave_if_over),
        )
        self._itself = {"version": VERSION, "pid": os.getpid(), "permitted": permitted_mask()}
        self._verbs: dict[str, Callable[[PendingRequest, Message], None]] = {
            Verb.HELLO.value: self._hello,
            Verb.FETCH.value: self._fetch,
            Verb.LAUNCH.value: self._launch,
            Verb.NETLINK.value: self._netlink,
            Verb.GO.value: self._go,
            Verb.PROCEED.value: self._proceed,
            Verb.ABORT.value: self._abort,
            Verb.KILL.value: self._kill,
            Verb.EXECUTE.value: self._execute,
            Verb.PERFORM.value: self._perform,
            Verb.ADOPT.value: self._adopt,
            Verb.KEEP.value: self._keep,
            Verb.STATUS.value: self._status,
            Verb.FORGET.value: self._forget,
            Verb.QUIT.value: self._quit,
            Verb.PING.value: lambda request, _: self.clients.answer(request, {}),
        }

    def run(self, *, while_connected: bool) -> None:
        """Serve. while_connected: only as long as there is a client, and take all guests along then.

        Otherwise until nothing has been held, and nobody connected, for a while.
        """
        self._children.watch()
        self._spawner.start()
        if not while_connected:
            self._leaving = self._loop.after(LINGERING, self._leave)
        while len(self.clients) or not while_connected:
            self._loop.turn()
        for process in self._held.all():
            if process.phase is not StartPhase.EXITED:
                self._starting.kill(process)

    @property
    def empty(self) -> bool:
        """Whether nothing is held."""
        return not self._held

    def leave_when_over(self) -> None:
        """End as soon as nobody whom it holds is alive, and no client asks how they ended; now, if that is so."""
        self._farewell.wanted = True
        # Not amid a launch, nor before an answer to who has had the last one end. The signal wakes the loop.
        self._loop.after(0, self._leave_if_over)

    def _leave_if_over(self) -> None:
        if self._farewell.is_due(len(self.clients)):
            self._farewell.write()
            self._children.attend_all()
            sys.exit(0)

    def _serve(self, verb: str, request: PendingRequest, message: Message) -> None:
        action = self._verbs.get(verb)
        if action is None:
            raise RefusalError(f"the keeper does not know the verb {verb!r}")
        action(request, message)

    def _lost(self, client: KeeperClient) -> None:
        self._starting.abandon(client)
        self._exits.forget_failures()
        self._share_reading()
        self._linger()

    def _linger(self) -> None:
        """Begin to count anew how long there has been nothing to do."""
        self._loop.after(0, self._leave_if_over)
        if self._leaving is not None and not len(self.clients):
            self._loop.cancel(self._leaving)
            self._leaving = self._loop.after(LINGERING, self._leave)

    def _leave(self) -> None:
        if self.empty and not len(self.clients) and self.clients.close_door():
            self._children.attend_all()
            sys.exit(0)

    # Verbs: the fields of the request → those of the answer

    def _hello(self, request: PendingRequest, message: Message) -> None:
        """consoles (whether the client reads them, true if not said), forgetting (whether it tells when to forget how
        an entered process ended, true if not said; else that is forgotten once it is told) → version, pid, permitted
        (mask of its capabilities), guests (uuid, pid, state, status, consoles), executions (id, uuid, …); events from
        now on"""
        request.client.listening = True
        request.client.reading = boolean(message, "consoles", default=True)
        request.client.forgetting = boolean(message, "forgetting", default=True)
        self._share_reading()
        self.clients.answer(request, {**self._itself, **self._held.described()})

    def _fetch(self, request: PendingRequest, message: Message) -> None:
        """uuid → pid, state, status; fds pidfd, console0…, ring0… said meanwhile, channel if held, all kept"""
        process = self._guest(message)
        if not process.is_known:
            raise RefusalError(f"the guest is {process.phase.value}")
        rings = process.rings()
        body = {"pid": process.pid, "state": process.phase.name, "status": process.status}
        fds = {**process.kept, "pidfd": process.pidfd, **process.masters(), **rings, **self._starting.channel(process)}
        self.clients.answer(request, body, fds)
        close_all(rings.values())

    def _launch(self, request: PendingRequest, message: Message) -> None:
        """uuid, launch, namespaces, owner, pid; fds image (of the program), cgroup, shared:KIND → pid"""
        uuid = name_of(message, "uuid")
        if uuid in self._held.guests:
            raise RefusalError(f"a guest with the UUID {uuid} is held already")
        check_room()
        self._exits.failure_of(uuid)
        begun = self._cloner.begin(message)
        begun.process.guest, begun.process.launch = uuid, message.body.get("launch")
        self._held.add(begun.process)
        self._follow(begun, request)
        self._starting.answer_when_cloned(begun.process, request)

    def _follow(self, begun: Begun, request: PendingRequest, *, to_its_end: bool = False) -> None:
        self._starting.attend(begun, request.client, to_its_end=to_its_end)
        if begun.process.is_known:
            self._watch(begun.process)

    def _watch(self, process: HeldProcess) -> None:
        if not process.adopted:
            self._held.know(process)
        self._loop.watch(process.pidfd, READABLE, lambda _: self._exits.exited(process))

    def _netlink(self, request: PendingRequest, message: Message) -> None:
        """uuid → fd netlink, a socket opened inside, once it is"""
        self._starting.send_netlink(self._newborn(message), request)

    def _go(self, request: PendingRequest, message: Message) -> None:
        """uuid, locked_trees (names of those to stage); fds in the program's order → fds pidfd, console0…"""
        process = self._newborn(message)
        seconds = seconds_of(message, PATIENCE)
        trees = {name: message.fds[name] for name in message.body.get("locked_trees", ())}
        try:
            if trees:
                stage_mounts(process.name, trees)
            self._starting.go(process, request, passed_fds(message, without=trees), seconds)
        except BaseException:
            unstage_mounts(process.name)
            raise

    def _newborn(self, message: Message) -> HeldProcess:
        """Return the guest, or say what it died of before anybody asked."""
        failure = self._exits.failure_of(message.body["uuid"])
        if failure is not None:
            raise StartFailedError(failure)
        return self._guest(message)

    def _proceed(self, request: PendingRequest, message: Message) -> None:
        """uuid of a guest that is held right before its program → pid, once that is executed; fds pidfd, console0…"""
        self._starting.proceed(self._guest(message), request)

    def _abort(self, request: PendingRequest, message: Message) -> None:
        """uuid or id of what does not run yet → status, once it is reaped, or failure; any other is left alone"""
        uuid, name = message.body.get("uuid", ""), message.body.get("id", "")
        process = self._held.guests.get(uuid) or self._held.executions.get(name)
        failure = self._exits.failure_of(uuid)
        over = process is None or process.phase in (StartPhase.RUNNING, StartPhase.EXITED)
        if process is None or over or not process.is_of(message.body.get("launch")):
            self.clients.answer(request, {"status": None, "failure": failure})
        else:
            self._exits.kill_for(request, process)

    def _kill(self, request: PendingRequest, message: Message) -> None:
        """uuid → status (a wait status, None if nobody can know), once its init is reaped"""
        process = self._guest(message)
        if process.phase is StartPhase.EXITED:
            self.clients.answer(request, {"status": process.status})
        else:
            self._exits.kill_for(request, process)

    def _execute(self, request: PendingRequest, message: Message) -> None:
        """id, uuid; fds init (its pidfd, whoever holds it), image, cgroup, and others in the program's order → pid; fds
        pidfd, console0"""
        self._enter(request, message, to_its_end=True)

    def _enter(self, request: PendingRequest, message: Message, *, to_its_end: bool) -> None:
        """to_its_end: the request is answered by the end of the process's channel, not by what it says before."""
        name, uuid = name_of(message, "id"), name_of(message, "uuid")
        guest = self._held.guests.get(uuid)
        seconds = seconds_of(message, PATIENCE)
        if guest is not None and guest.phase is not StartPhase.RUNNING:
            raise RefusalError(f"the guest is not running: it is {guest.phase.value}")
        if name in self._held.executions:
            raise RefusalError(f"there is a process with the id {name} already")
        if "init" not in message.fds:
            raise RefusalError("no descriptor of the init came whose guest is to be entered")
        begun = self._cloner.enter(message)
        process = begun.process
        process.guest, process.execution, process.foreign = uuid, name, guest is None
        self._held.add(process)
        self._follow(begun, request, to_its_end=to_its_end)
        self._starting.expect(process, request, seconds)

    def _perform(self, request: PendingRequest, message: Message) -> None:
        """as execute, of a process that executes nothing → pid, once it has done what it came for; it ends by itself"""
        self._enter(request, message, to_its_end=False)

    def _adopt(self, request: PendingRequest, message: Message) -> None:
        """uuid, pid, born (None if unknown), id of an entered process; fds pidfd, console0…, channel if held, others to
        keep → (what a keeper held that died is handed to the next)"""
        uuid, pid = name_of(message, "uuid"), number_of(message, "pid")
        execution = None if message.body.get("id") is None else name_of(message, "id")
        born = None if message.body.get("born") is None else number_of(message, "born")
        known = self._held.guests.get(uuid) if execution is None else self._held.executions.get(execution)
        if known is not None:
            if known.pid != pid:
                what = f"guest with the UUID {uuid}" if execution is None else f"process with the id {execution}"
                raise RefusalError(f"another {what} is held already")
            self.clients.answer(request, {})
            return
        if pid_of(message.fds["pidfd"]) not in (pid, None):
            raise RefusalError(f"the descriptor that came is another process's, not {pid}'s")
        process = HeldProcess(uuid, pid, message.fds.pop("pidfd"), execution=execution, adopted=True)
        process.launch = message.body.get("launch")
        process.foreign = execution is not None and uuid not in self._held.guests
        if "channel" in message.fds:
            try:
                self._starting.hold(process, message.fds["channel"], request.client)
            except BaseException:
                process.close()
                raise
            del message.fds["channel"]
        process.hold_consoles(message.fds)
        process.keep(message.fds)
        self._strangers.meet(process, born)
        self._held.add(process)
        self._watch(process)
        if execution is None:
            self._share_reading_of(process)
        self.clients.answer(request, {})

    def _keep(self, request: PendingRequest, message: Message) -> None:
        """uuid; fds of any names → (they are held as long as the guest, and handed out when it is fetched)"""
        self._guest(message).keep(message.fds)
        self.clients.answer(request, {})

    def _status(self, request: PendingRequest, message: Message) -> None:
        """pid, born of a process whose keeper died → status, None if nobody knows how it ended"""

        def told(status: int | None) -> None:
            self.clients.answer(request, {"status": status})

        self._strangers.of_the_past(number_of(message, "pid"), number_of(message, "born"), told)

    def _forget(self, request: PendingRequest, message: Message) -> None:
        """uuid or id of what has ended → (its record and its terminals, and those of what ended in it, are let go)

        pid, born of a guest that may have ended while no keeper held it.
        """
        name = message.body.get("id")
        if name is None and message.body.get("born") is not None and message.body["uuid"] not in self._held.guests:
            self._strangers.forget_past(number_of(message, "pid"), number_of(message, "born"))
        if name is None and message.body["uuid"] not in self._held.guests:
            self._exits.drop_entered(message.body["uuid"])
        process = self._guest(message) if name is None else self._held.executions[name]
        if process.adopted and process.phase is not StartPhase.EXITED and has_ended(process.pidfd):
            # Who asks has seen its end already, while the reaper is still being asked.
            process.status = self._strangers.of_kernel(process)
            self._exits.conclude(process)
        if process.phase is not StartPhase.EXITED:
            raise RefusalError(f"it cannot be forgotten: it is {process.phase.value}")
        self._exits.drop(process)
        if name is None:
            self._exits.drop_entered(process.guest)
        self.clients.answer(request, {})

    def _quit(self, request: PendingRequest, message: Message) -> None:
        """→ (the keeper ends; refused while anything is held)"""
        if not self.empty:
            raise RefusalError(
                f"{len(self._held.guests)} guest(s) and {len(self._held.executions)} process(es) are held"
            )

        def leave() -> None:
            self._children.attend_all()
            self.clients.answer(request, {})
            sys.exit(0)

        self._strangers.forget_all(leave)

    def _guest(self, message: Message) -> HeldProcess:
        process = self._held.guests.get(message.body["uuid"])
        if process is None or not process.is_of(message.body.get("launch")):
            which = " of that launch" if process is not None else ""
            raise RefusalError(f"no guest with the UUID {message.body['uuid']} is held{which}")
        return process

    # Beginnings and ends

    def _child_exited(self, pid: int) -> bool:
        return self._exits.child_exited(pid)

    def _conclude(self, process: HeldProcess) -> None:
        self._exits.conclude(process)

    def _settled(self, process: HeldProcess) -> None:
        """A program runs, or is held right before it."""
        if process.execution is None:
            unstage_mounts(process.name)
            self._share_reading_of(process)
        else:
            # The terminal is the asker's alone: when that goes away, the process shall be hung up on.
            process.drop_consoles()

    # Consoles

    def _share_reading(self) -> None:
        """Read the consoles while nobody else does, and only then: a guest must never block on a full terminal."""
        for process in self._held.guests.values():
            self._share_reading_of(process)

    def _share_reading_of(self, process: HeldProcess) -> None:
        alone = not self.clients.anybody_reads
        for console in process.consoles if process.phase is StartPhase.RUNNING else ():
            if not alone:
                self._loop.unwatch(console.master)
            elif not self._loop.watches(console.master):
                read_alone(self._loop, console)
