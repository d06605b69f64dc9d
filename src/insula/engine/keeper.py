"""What the keeper is asked, and what it does when processes begin and end.

It clones, forwards, watches and reaps; it decides nothing, and never waits for a child. The process is in
`engine.keepermain`, the messages are drawn in `engine.handshake`.
"""

import os
import socket
import sys
from collections.abc import Callable
from typing import Any

from insula.engine import init
from insula.engine.births import PATIENCE, Births, slay
from insula.engine.children import Children
from insula.engine.clients import Client, Clients, RefusalError, Request, StillbornError
from insula.engine.cloning import Cloner
from insula.engine.custody import Stage, Ward
from insula.engine.handshake import VERSION, EventKind, Message, Verb
from insula.engine.lonereading import read_alone
from insula.engine.loop import READABLE, Loop
from insula.engine.reaperlink import ReaperLink
from insula.engine.requests import boolean, check_room, name_of, number_of, seconds_of
from insula.engine.seclusion import clear_stage, put_on_stage
from insula.engine.strangers import Strangers
from insula.kernel.fds import close_all
from insula.kernel.process import has_ended, pid_of, wait_status

LINGERING = 10.0
"""Seconds that a listening keeper stays with nothing to hold and nobody connected: a daemon that restarts finds it."""


class Keeper:
    """All that is held. limits: the fd limits that guests shall start with; reaper: a channel to it, if any."""

    def __init__(self, limits: tuple[int, int], *, reaper: socket.socket | None = None) -> None:
        self._guests: dict[str, Ward] = {}
        self._executions: dict[str, Ward] = {}
        self._killers: dict[Ward, list[Request]] = {}
        self._failures: dict[str, dict[str, Any]] = {}
        """Why guests that nobody asked about yet could not be born, by UUID; until the daemon asks, or goes."""
        self._leaving: int | None = None
        """When it ends if nothing happens; None for one that ends with its last client."""
        self._loop = Loop()
        self.clients = Clients(self._loop, self._serve, self._lost)
        self._children = Children(self._loop, self._child_ended)
        self._births = Births(self._loop, self.clients, self._settled)
        self._strangers = Strangers(ReaperLink(self._loop, reaper))
        self._cloner = Cloner(limits)
        self._verbs: dict[str, Callable[[Request, Message], None]] = {
            Verb.HELLO.value: self._hello,
            Verb.FETCH.value: self._fetch,
            Verb.LAUNCH.value: self._launch,
            Verb.NETLINK.value: self._netlink,
            Verb.GO.value: self._go,
            Verb.PROCEED.value: self._proceed,
            Verb.ABORT.value: self._abort,
            Verb.KILL.value: self._kill,
            Verb.EXECUTE.value: self._execute,
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
        if not while_connected:
            self._leaving = self._loop.after(LINGERING, self._leave)
        while len(self.clients) or not while_connected:
            self._loop.turn()
        for ward in (*self._guests.values(), *self._executions.values()):
            if ward.stage is not Stage.EXITED:
                slay(ward)

    @property
    def empty(self) -> bool:
        """Whether nothing is held."""
        return not (self._guests or self._executions)

    def _serve(self, verb: str, request: Request, message: Message) -> None:
        action = self._verbs.get(verb)
        if action is None:
            raise RefusalError(f"the keeper does not know the verb {verb!r}")
        action(request, message)

    def _lost(self, client: Client) -> None:
        self._births.abandon(client)
        self._failures.clear()
        self._share_reading()
        self._linger()

    def _linger(self) -> None:
        """Begin to count anew how long there has been nothing to do."""
        if self._leaving is not None and not len(self.clients):
            self._loop.cancel(self._leaving)
            self._leaving = self._loop.after(LINGERING, self._leave)

    def _leave(self) -> None:
        if self.empty and not len(self.clients) and self.clients.close_door():
            sys.exit(0)

    # Verbs: the fields of the request → those of the answer

    def _hello(self, request: Request, message: Message) -> None:
        """consoles (whether the client reads them, true if not said) → version, pid, guests (uuid, pid, stage, status,
        consoles), executions (id, uuid, …); events from now on"""
        request.client.listening = True
        request.client.reading = boolean(message, "consoles", default=True)
        self._share_reading()
        described = {
            kind: [
                {
                    "uuid": ward.guest,
                    "id": ward.execution,
                    "pid": ward.pid,
                    "stage": ward.stage.name,
                    "status": ward.status,
                    "consoles": len(ward.consoles),
                }
                for ward in wards
            ]
            for kind, wards in (("guests", self._guests.values()), ("executions", self._executions.values()))
        }
        self.clients.answer(request, {"version": VERSION, "pid": os.getpid(), **described})

    def _fetch(self, request: Request, message: Message) -> None:
        """uuid → pid, stage, status; fds pidfd, console0…, ring0… said meanwhile, channel if held, all kept"""
        ward = self._guest(message)
        rings = ward.rings()
        body = {"pid": ward.pid, "stage": ward.stage.name, "status": ward.status}
        fds = {**ward.kept, "pidfd": ward.pidfd, **ward.masters(), **rings, **self._births.channel(ward)}
        self.clients.answer(request, body, fds)
        close_all(rings.values())

    def _launch(self, request: Request, message: Message) -> None:
        """uuid, launch, namespaces, owner, pid, early (steps); fds steps (the others), cgroup, shared:KIND → pid"""
        uuid = name_of(message, "uuid")
        if uuid in self._guests:
            raise RefusalError(f"a guest with the UUID {uuid} is held already")
        check_room()
        self._failures.pop(uuid, None)
        ward, channel = self._cloner.begin(message, init.begin)
        ward.guest, ward.launch = uuid, message.body.get("launch")
        self._guests[uuid] = ward
        self._follow(ward, channel, request)
        self.clients.answer(request, {"pid": ward.pid})

    def _follow(self, ward: Ward, channel: socket.socket, request: Request) -> None:
        self._births.attend(ward, channel, request.client)
        self._watch(ward)

    def _watch(self, ward: Ward) -> None:
        self._loop.watch(ward.pidfd, READABLE, lambda _: self._ended(ward))

    def _netlink(self, request: Request, message: Message) -> None:
        """uuid → fd netlink, a socket opened inside, once it is"""
        self._births.send_netlink(self._newborn(message), request)

    def _go(self, request: Request, message: Message) -> None:
        """uuid, stage (names of trees to stage), hold; fds as the steps name them → fds pidfd, console0…"""
        ward = self._newborn(message)
        seconds = seconds_of(message, PATIENCE)
        body = {"hold": message.body.get("hold")}
        trees = {name: message.fds[name] for name in message.body.get("stage", ())}
        try:
            if trees:
                body["staged"] = put_on_stage(ward.name, trees)
            passed = {name: fd for name, fd in message.fds.items() if name not in trees}
            self._births.go(ward, request, body, passed, seconds)
        except BaseException:
            clear_stage(ward.name)
            raise

    def _newborn(self, message: Message) -> Ward:
        """Return the guest, or say what it died of before anybody asked."""
        failure = self._failures.pop(message.body["uuid"], None)
        if failure is not None:
            raise StillbornError(failure)
        return self._guest(message)

    def _proceed(self, request: Request, message: Message) -> None:
        """uuid of a guest that is held right before its program → pid, once that is executed; fds pidfd, console0…"""
        self._births.proceed(self._guest(message), request)

    def _abort(self, request: Request, message: Message) -> None:
        """uuid or id of what does not run yet → status, once it is reaped, or failure; any other is left alone"""
        uuid, name = message.body.get("uuid", ""), message.body.get("id", "")
        ward = self._guests.get(uuid) or self._executions.get(name)
        failure = self._failures.pop(uuid, None)
        if ward is None or ward.stage in (Stage.RUNNING, Stage.EXITED) or not ward.is_of(message.body.get("launch")):
            self.clients.answer(request, {"status": None, "failure": failure})
        else:
            self._kill_for(request, ward)

    def _kill(self, request: Request, message: Message) -> None:
        """uuid → status (a wait status, None if nobody can know), once its init is reaped"""
        ward = self._guest(message)
        if ward.stage is Stage.EXITED:
            self.clients.answer(request, {"status": ward.status})
        else:
            self._kill_for(request, ward)

    def _kill_for(self, request: Request, ward: Ward) -> None:
        self._killers.setdefault(ward, []).append(request)
        slay(ward)

    def _execute(self, request: Request, message: Message) -> None:
        """id, uuid; fds steps, cgroup, and as the steps name them → pid; fds pidfd, console0"""
        name = name_of(message, "id")
        guest = self._guest(message)
        seconds = seconds_of(message, PATIENCE)
        if guest.stage is not Stage.RUNNING:
            raise RefusalError(f"the guest is not running: it is {guest.stage.value}")
        if name in self._executions:
            raise RefusalError(f"there is a process with the id {name} already")
        ward, channel = self._cloner.enter(guest, message, init.enter)
        ward.guest, ward.execution = guest.guest, name
        self._executions[name] = ward
        self._follow(ward, channel, request)
        self._births.expect(ward, request, seconds)

    def _adopt(self, request: Request, message: Message) -> None:
        """uuid, pid, born (None if unknown), id of an entered process; fds pidfd, console0…, channel if held, others to
        keep → (what a keeper held that died is handed to the next)"""
        uuid, pid = name_of(message, "uuid"), number_of(message, "pid")
        execution = None if message.body.get("id") is None else name_of(message, "id")
        born = None if message.body.get("born") is None else number_of(message, "born")
        known = self._guests.get(uuid) if execution is None else self._executions.get(execution)
        if known is not None:
            if known.pid != pid:
                what = f"guest with the UUID {uuid}" if execution is None else f"process with the id {execution}"
                raise RefusalError(f"another {what} is held already")
            self.clients.answer(request, {})
            return
        if pid_of(message.fds["pidfd"]) not in (pid, None):
            raise RefusalError(f"the descriptor that came is another process's, not {pid}'s")
        ward = Ward(uuid, pid, message.fds.pop("pidfd"), execution=execution, adopted=True)
        ward.launch = message.body.get("launch")
        if "channel" in message.fds:
            try:
                self._births.hold(ward, message.fds["channel"], request.client)
            except BaseException:
                ward.close()
                raise
            del message.fds["channel"]
        ward.hold_consoles(message.fds)
        ward.keep(message.fds)
        self._strangers.meet(ward, born)
        if execution is None:
            self._guests[uuid] = ward
        else:
            self._executions[execution] = ward
        self._watch(ward)
        self._share_reading()
        self.clients.answer(request, {})

    def _keep(self, request: Request, message: Message) -> None:
        """uuid; fds of any names → (they are held as long as the guest, and handed out when it is fetched)"""
        self._guest(message).keep(message.fds)
        self.clients.answer(request, {})

    def _status(self, request: Request, message: Message) -> None:
        """pid, born of a process whose keeper died → status, None if nobody knows how it ended"""

        def told(status: int | None) -> None:
            self.clients.answer(request, {"status": status})

        self._strangers.of_the_past(number_of(message, "pid"), number_of(message, "born"), told)

    def _forget(self, request: Request, message: Message) -> None:
        """uuid or id of what has ended → (its record and its terminals, and those of what ended in it, are let go)

        pid, born of a guest that may have ended while no keeper held it.
        """
        name = message.body.get("id")
        if name is None and message.body.get("born") is not None and message.body["uuid"] not in self._guests:
            self._strangers.forget_past(number_of(message, "pid"), number_of(message, "born"))
        ward = self._guest(message) if name is None else self._executions[name]
        if ward.adopted and ward.stage is not Stage.EXITED and has_ended(ward.pidfd):
            # Who asks has seen its end already, while the reaper is still being asked.
            ward.status = self._strangers.of_kernel(ward)
            self._conclude(ward)
        if ward.stage is not Stage.EXITED:
            raise RefusalError(f"it cannot be forgotten: it is {ward.stage.value}")
        self._drop(ward)
        if name is None:
            for entered in [each for each in self._executions.values() if each.guest == ward.guest]:
                if entered.stage is Stage.EXITED:
                    self._drop(entered)
        self.clients.answer(request, {})

    def _quit(self, request: Request, message: Message) -> None:
        """→ (the keeper ends; refused while anything is held)"""
        if not self.empty:
            raise RefusalError(f"{len(self._guests)} guest(s) and {len(self._executions)} process(es) are held")

        def leave() -> None:
            self.clients.answer(request, {})
            sys.exit(0)

        self._strangers.forget_all(leave)

    def _guest(self, message: Message) -> Ward:
        ward = self._guests.get(message.body["uuid"])
        if ward is None or not ward.is_of(message.body.get("launch")):
            raise RefusalError(f"no guest with the UUID {message.body['uuid']} is held{' of that launch' * bool(ward)}")
        return ward

    # Ends and beginnings

    def _settled(self, ward: Ward) -> None:
        """A program runs, or is held right before it."""
        clear_stage(ward.name)
        if ward.execution is not None:
            # The terminal is the asker's alone: when that goes away, the process shall be hung up on.
            ward.drop_consoles()
        self._share_reading()

    def _child_ended(self, pid: int) -> bool:
        """Reap a child that has ended, and return whether it was a ward."""
        for ward in (*self._guests.values(), *self._executions.values()):
            if ward.pid == pid and not ward.adopted and ward.stage is not Stage.EXITED:
                self._ended(ward)
                return True
        return False

    def _ended(self, ward: Ward) -> None:
        """A process has ended: learn how, and tell whom it concerns."""
        self._births.listen_to(ward)
        if ward.adopted:
            self._loop.unwatch(ward.pidfd)
            self._strangers.learn(ward, lambda status: self._learnt(ward, status))
            return
        ward.status = wait_status(ward.pidfd)
        if ward.status is not None:
            self._conclude(ward)

    def _learnt(self, ward: Ward, status: int | None) -> None:
        if ward.stage is not Stage.EXITED:
            ward.status = status
            self._conclude(ward)

    def _conclude(self, ward: Ward) -> None:
        self._loop.unwatch(ward.pidfd)
        if ward.stage is not Stage.RUNNING:
            clear_stage(ward.name)
            failure = self._births.bury(ward)
            if failure is not None and ward.execution is None and ward.stage is not Stage.HELD:
                self._failures[ward.guest] = failure
        if ward.stage in (Stage.RUNNING, Stage.HELD):
            ward.stage = Stage.EXITED
            self._announce(ward)
        if ward.stage is not Stage.EXITED or ward.guest not in self._guests:
            self._drop(ward)
        for request in self._killers.pop(ward, ()):
            self.clients.answer(request, {"status": ward.status})

    def _announce(self, ward: Ward) -> None:
        kind = EventKind.EXITED if ward.execution is None else EventKind.EXECUTED
        self.clients.tell({"event": kind.value, "uuid": ward.guest, "id": ward.execution, "status": ward.status})
        for console in ward.consoles:
            if self._loop.watches(console.master):
                console.drain()
                self._loop.unwatch(console.master)

    def _drop(self, ward: Ward) -> None:
        if ward.execution is None:
            self._guests.pop(ward.guest, None)
        else:
            self._executions.pop(ward.execution, None)
        for master in ward.masters().values():
            self._loop.unwatch(master)
        self._loop.unwatch(ward.pidfd)
        if ward.adopted:
            self._strangers.forget(ward)
        ward.close()
        self._linger()

    # Consoles

    def _share_reading(self) -> None:
        """Read the consoles while nobody else does, and only then: a guest must never block on a full terminal."""
        alone = not self.clients.anybody_reads
        for ward in self._guests.values():
            for console in ward.consoles if ward.stage is Stage.RUNNING else ():
                if not alone:
                    self._loop.unwatch(console.master)
                elif not self._loop.watches(console.master):
                    read_alone(self._loop, console)
