"""The keeper: one small process that is the parent of every guest's init.

    python -I -m insula.engine.keeper (--listen-fd N | --channel-fd N) [--ready-fd N] [--detach]

It clones, forwards, watches and reaps; it decides nothing, and never waits for a child. It lives in a mount namespace
of its own (`engine.seclusion`), cannot be traced, and imports only what it needs, since every guest begins as a fork of
it. The messages are drawn in `engine.handshake`.
"""

import contextlib
import gc
import os
import resource
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

from insula.engine import init
from insula.engine.births import PATIENCE, Births, slay
from insula.engine.children import Children
from insula.engine.clients import Client, Clients, RefusalError, Request, StillbornError
from insula.engine.custody import Stage, Ward
from insula.engine.handshake import VERSION, EventKind, Message, Verb
from insula.engine.lonereading import read_alone
from insula.engine.loop import HUNG_UP, READABLE, Loop
from insula.engine.passednumbers import move_up, reserve_numbers
from insula.engine.seclusion import clear_stage, put_on_stage, withdraw
from insula.engine.steps.guest.execution import IGNORED_SIGNALS
from insula.engine.steps.guest.namespaces import NAMESPACE_FLAGS
from insula.kernel.fds import Fd, close_all
from insula.kernel.identity import acting_as_owner
from insula.kernel.privileges import last_capability
from insula.kernel.process import (
    CloneFlag,
    clone,
    exit_of_stranger,
    has_ended,
    set_dumpable,
    set_name,
    setns,
    wait_status,
)
from insula.kernel.standardstreams import occupy_standard_streams

LINGERING = 10.0
"""Seconds that a listening keeper stays with nothing to hold and nobody connected: a daemon that restarts finds it."""
_STRANGERS_REAPING = 1.0
"""Seconds that the parent of an adopted guest has to reap it, before its status counts as unknown."""


class Keeper:
    """All that is held. limits: the fd limits that guests shall start with."""

    def __init__(self, limits: tuple[int, int]) -> None:
        self._limits = limits
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
        self._own_pids = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
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
        request.client.reading = message.body.get("consoles", True)
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
        """uuid, namespaces, owner, pid, early (steps); fds steps (the others), cgroup, shared:KIND → pid"""
        uuid = message.body["uuid"]
        if uuid in self._guests:
            raise RefusalError(f"a guest with the UUID {uuid} is held already")
        self._failures.pop(uuid, None)
        with contextlib.ExitStack() as back:
            for name, fd in message.fds.items():
                if name.startswith("shared:"):
                    self._visit(name.removeprefix("shared:"), fd, back)
            flags = CloneFlag.NOTHING
            for kind in message.body["namespaces"]:
                flags |= NAMESPACE_FLAGS[kind]
            ward, channel = self._clone(flags, message, init.begin, back)
        ward.guest = uuid
        self._guests[uuid] = ward
        self._follow(ward, channel, request)
        self.clients.answer(request, {"pid": ward.pid})

    def _visit(self, kind: str, fd: Fd, back: contextlib.ExitStack) -> None:
        """Be in another namespace until back unwinds, so that a child is born there."""
        home = os.open(f"/proc/self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
        back.callback(os.close, home)
        setns(fd, NAMESPACE_FLAGS[kind])
        back.callback(setns, home, NAMESPACE_FLAGS[kind])

    def _clone(
        self,
        flags: CloneFlag,
        message: Message,
        child: Callable[[socket.socket, Message, tuple[int, int]], NoReturn],
        back: contextlib.ExitStack,
    ) -> tuple[Ward, socket.socket]:
        """Fork, with the request's owner, pid and control group; the child never returns from here."""
        pid, owner = message.body.get("pid"), message.body.get("owner")
        pids = [] if pid is None else [1, pid]
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            if owner is not None:
                back.enter_context(acting_as_owner(*owner))
            pid, pidfd = clone(flags, pids=pids, cgroup=message.fds.get("cgroup"))
            if pid == 0:
                child(theirs, message, self._limits)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return Ward("", pid, pidfd), ours

    def _follow(self, ward: Ward, channel: socket.socket, request: Request) -> None:
        self._births.attend(ward, channel, request.client)
        self._loop.watch(ward.pidfd, READABLE, lambda events: self._ended(ward, events))

    def _netlink(self, request: Request, message: Message) -> None:
        """uuid → fd netlink, a socket opened inside, once it is"""
        self._births.send_netlink(self._newborn(message), request)

    def _go(self, request: Request, message: Message) -> None:
        """uuid, stage (names of trees to stage), hold; fds as the steps name them → fds pidfd, console0…"""
        ward = self._newborn(message)
        body = {"hold": message.body.get("hold")}
        staged = {name: message.fds.pop(name) for name in message.body.get("stage", ())}
        try:
            if staged:
                body["staged"] = put_on_stage(ward.name, staged)
            self._births.go(ward, request, body, message.fds, message.body.get("seconds", PATIENCE))
        except BaseException:
            clear_stage(ward.name)
            raise
        finally:
            close_all(staged.values())

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
        if ward is None or ward.stage in (Stage.RUNNING, Stage.EXITED):
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
        name = message.body["id"]
        guest = self._guest(message)
        if guest.stage is not Stage.RUNNING:
            raise RefusalError(f"the guest is not running: it is {guest.stage.value}")
        if name in self._executions:
            raise RefusalError(f"there is a process with the id {name} already")
        message.fds["init"] = Fd(os.dup(guest.pidfd))
        with contextlib.ExitStack() as back:
            # It is the children that move, so the way back is always open: setns(2).
            setns(guest.pidfd, CloneFlag.NEWPID)
            back.callback(setns, self._own_pids, CloneFlag.NEWPID)
            ward, channel = self._clone(CloneFlag.NOTHING, message, init.enter, back)
        ward.guest, ward.execution = guest.guest, name
        self._executions[name] = ward
        self._follow(ward, channel, request)
        self._births.expect(ward, request, message.body.get("seconds", PATIENCE))

    def _adopt(self, request: Request, message: Message) -> None:
        """uuid, pid; fds pidfd, console0…, channel if held, others to keep → (a dead keeper's guest is handed on)"""
        uuid = message.body["uuid"]
        known = self._guests.get(uuid)
        if known is not None:
            if known.pid != message.body["pid"]:
                raise RefusalError(f"another guest with the UUID {uuid} is held already")
            self.clients.answer(request, {})
            return
        ward = Ward(uuid, message.body["pid"], message.fds.pop("pidfd"), adopted=True)
        ward.hold_consoles(message.fds)
        if "channel" in message.fds:
            self._births.hold(ward, message.fds.pop("channel"), request.client)
        ward.keep(message.fds)
        self._guests[uuid] = ward
        self._loop.watch(ward.pidfd, READABLE, lambda events: self._ended(ward, events))
        self._share_reading()
        self.clients.answer(request, {})

    def _keep(self, request: Request, message: Message) -> None:
        """uuid; fds of any names → (they are held as long as the guest, and handed out when it is fetched)"""
        self._guest(message).keep(message.fds)
        self.clients.answer(request, {})

    def _forget(self, request: Request, message: Message) -> None:
        """uuid or id of what has ended → (its record and its terminals, and those of what ended in it, are let go)"""
        name = message.body.get("id")
        ward = self._guest(message) if name is None else self._executions[name]
        if ward.adopted and ward.stage is not Stage.EXITED and has_ended(ward.pidfd):
            # Who asks has seen its end already, while its status is still being waited for.
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
        self.clients.answer(request, {})
        sys.exit(0)

    def _guest(self, message: Message) -> Ward:
        ward = self._guests.get(message.body["uuid"])
        if ward is None:
            raise RefusalError(f"no guest with the UUID {message.body['uuid']} is held")
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
                self._ended(ward, READABLE)
                return True
        return False

    def _ended(self, ward: Ward, events: int) -> None:
        """A process has ended: reap it, and tell whom it concerns."""
        self._births.listen_to(ward)
        if ward.adopted:
            ward.status = exit_of_stranger(ward.pidfd)
            if ward.status is None and not events & HUNG_UP:
                # Its parent has yet to reap it. Kernels from 6.15 on tell that as a hang-up, and then the status.
                self._loop.rewatch(ward.pidfd, 0)
                self._loop.after(_STRANGERS_REAPING, lambda: self._ended_unseen(ward))
                return
        else:
            ward.status = wait_status(ward.pidfd)
            if ward.status is None:
                return
        self._conclude(ward)

    def _ended_unseen(self, ward: Ward) -> None:
        if ward.stage is not Stage.EXITED:
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


def main(arguments: list[str] | None = None) -> None:
    """Become the keeper. Exits the process; what went wrong at the start is printed."""
    occupy_standard_streams()
    try:
        _serve(_parsed(sys.argv[1:] if arguments is None else arguments))
    except Exception:
        traceback.print_exc()
        os._exit(1)


class _Options:
    """What the command line says. given: a SOCK_SEQPACKET socket; ready: where to write a byte when all is set up."""

    __slots__ = ("detach", "given", "listens", "ready")

    def __init__(self) -> None:
        self.given = -1
        self.listens = False
        self.ready = -1
        self.detach = False


def _parsed(arguments: list[str]) -> _Options:
    options = _Options()
    waiting = list(arguments)
    while waiting:
        option = waiting.pop(0)
        if option == "--detach":
            options.detach = True
        elif option == "--ready-fd":
            options.ready = int(waiting.pop(0))
        elif option in ("--listen-fd", "--channel-fd"):
            options.listens = option == "--listen-fd"
            options.given = int(waiting.pop(0))
        else:
            raise ValueError(f"the keeper has no option {option}")
    if options.given < 0:
        raise ValueError("the keeper needs --listen-fd or --channel-fd")
    return options


def _serve(options: _Options) -> None:
    if options.detach and os.fork():
        os._exit(0)
    given = socket.socket(fileno=move_up(options.given))
    ready = -1 if options.ready < 0 else move_up(options.ready)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
    reserve_numbers()
    for ignored in IGNORED_SIGNALS:
        signal.signal(ignored, signal.SIG_IGN)
    os.umask(0o022)  # of whoever started us would otherwise be the modes of what children make in guests
    set_dumpable(False)
    set_name("insula-keeper")
    withdraw()
    keeper = Keeper(limits)
    # Asked here once, so that no child has to.
    last_capability()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0) if keeper.empty else None)
    if options.listens:
        given.listen()  # again, in this process: peers are told who listened last (unix(7), SO_PEERCRED)
        keeper.clients.listen(given)
    else:
        keeper.clients.welcome(given)
    if ready >= 0:
        os.write(ready, b"r")
        os.close(ready)
    # What is alive now stays: a collection would touch, and so copy, pages shared with children being born.
    gc.collect()
    gc.freeze()
    keeper.run(while_connected=not options.listens)


if __name__ == "__main__":
    main()
