"""A keeper without processes: it speaks the keeper's protocol (`engine.keeper.protocol`) over a `FakeHost`."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from insula.engine.keeper.clients import RefusalError
from insula.engine.keeper.held import StartPhase
from insula.engine.keeper.protocol import IMAGE, VERSION, EventKind, Verb
from insula.engine.keeper.starting import PATIENCE
from insula.kernel.fds import NO_FD, Fd, close_all, contents, duplicate
from insula.testing.emptyprograms import Performance
from insula.testing.fakeheld import FakeClient, FakeHeld, Reply, Tell
from insula.testing.fakeprocess import FakeProcess

if TYPE_CHECKING:
    from insula.testing.fakehost import FakeHost


class FakeKeeper:
    """Holds guests for as long as it lives. asked: the verbs it was asked, in their order."""

    def __init__(self, host: FakeHost) -> None:
        self._host = host
        self._clients: list[FakeClient] = []
        self._held: dict[str, FakeHeld] = {}
        self._entered: dict[str, FakeHeld] = {}
        """Processes that were put into guests, by their id."""
        self.alive = True
        self.asked: list[Verb] = []
        self._verbs: dict[Verb, Callable[[FakeClient, dict[str, Any], dict[str, Fd], Reply], None]] = {
            Verb.HELLO: self._hello,
            Verb.FETCH: self._fetch,
            Verb.LAUNCH: self._launch,
            Verb.GO: self._go,
            Verb.PROCEED: self._proceed,
            Verb.ABORT: self._abort,
            Verb.KILL: self._kill,
            Verb.EXECUTE: self._enter,
            Verb.ADOPT: self._adopt,
            Verb.KEEP: self._keep,
            Verb.STATUS: self._status,
            Verb.FORGET: self._forget,
            Verb.QUIT: self._quit,
            Verb.PING: lambda client, body, fds, reply: reply(),
        }

    @property
    def holds(self) -> frozenset[str]:
        """The UUIDs of the guests that it holds, ended ones too."""
        return frozenset(self._held)

    @property
    def entered(self) -> frozenset[str]:
        """The ids of the processes in guests that it holds, ended ones too."""
        return frozenset(self._entered)

    def kept(self, uuid: str) -> frozenset[str]:
        """Return the names of what the daemon wants to find again with a guest."""
        return frozenset(self._held[uuid].kept)

    def fds(self) -> set[int]:
        """Return the descriptors that it holds."""
        return {fd for held in self.all_held() for fd in held.open_fds()}

    def all_held(self) -> list[FakeHeld]:
        """Return all that it holds."""
        return [*self._held.values(), *self._entered.values()]

    def take(self, held: FakeHeld) -> None:
        """Hold something."""
        table, name = (self._held, held.uuid) if held.execution is None else (self._entered, held.execution)
        table[name] = held

    def connect(self, tell: Tell, lost: Callable[[], None]) -> FakeClient:
        client = FakeClient(tell=tell, lost=lost)
        self._clients.append(client)
        return client

    def disconnect(self, client: FakeClient) -> None:
        """A client has gone: what it had begun and not told to go ends."""
        if client in self._clients:
            self._clients.remove(client)
            for held in list(self._held.values()):
                if held.requester is client and held.phase is StartPhase.CLONED:
                    self._host.end(held.process, 9)

    def hear(self, client: FakeClient, body: dict[str, Any], fds: dict[str, Fd]) -> None:
        """Take a request; its fds are the keeper's now."""
        number, verb = body["request"], Verb(body["verb"])
        self.asked.append(verb)

        def reply(answer: dict[str, Any] | None = None, answer_fds: dict[str, Fd] | None = None) -> None:
            if client in self._clients:
                client.tell({"answer": number, **(answer or {})}, answer_fds or {})
            else:
                close_all((answer_fds or {}).values())

        try:
            self._verbs[verb](client, body, fds, reply)
        except RefusalError as error:
            reply({"error": {"text": str(error)}})
        except OSError as error:
            reply({"error": {"text": str(error), "errno": error.errno}})
        finally:
            close_all(fds.values())

    def process_ended(self, pid: int, born: int) -> None:
        """A process has ended that may be held here."""
        for held in self.all_held():
            if (held.pid, held.born) == (pid, born) and held.phase is not StartPhase.EXITED:
                self._conclude(held)

    def close(self) -> None:
        """It has died."""
        self.alive = False
        clients, self._clients = self._clients, []
        for held in self.all_held():
            held.close()
        for client in clients:
            client.lost()

    def _conclude(self, held: FakeHeld) -> None:
        held.status = self._host.ended.get((held.pid, held.born))
        if held.channel >= 0:
            os.close(held.channel)
            held.channel = NO_FD
        began = held.phase in (StartPhase.RUNNING, StartPhase.HELD)
        if held.pending is not None:
            held.pending({"error": {"text": f"it ended while {held.phase.value}", "errno": 0}})
        listening = [client.forgetting for client in self._clients if client.listening]
        told = held.execution is not None and bool(listening) and not any(listening)
        forgotten = held.uuid not in self._held and not held.foreign
        if began:
            held.phase = StartPhase.EXITED
            kind = EventKind.EXITED if held.execution is None else EventKind.EXECUTED
            event = {"event": kind.value, "uuid": held.uuid, "id": held.execution, "status": held.status}
            for client in self._clients:
                if client.listening:
                    client.tell(event | ({"held": False} if told or forgotten else {}), {})
        if not began or told or forgotten:
            self._drop(held)
        for reply in held.killers:
            reply({"status": held.status})
        held.killers.clear()

    def _drop(self, held: FakeHeld) -> None:
        table, name = (self._held, held.uuid) if held.execution is None else (self._entered, held.execution)
        if table.get(name) is held:
            del table[name]
        held.close()
        self._host.ended.pop((held.pid, held.born), None)

    def _meant(self, body: dict[str, Any]) -> FakeHeld:
        held = self._held.get(body["uuid"])
        if held is None or not held.is_of(body.get("launch")):
            raise RefusalError(f"no guest with the UUID {body['uuid']} is held")
        return held

    # Verbs

    def _hello(self, client: FakeClient, body: dict[str, Any], fds: dict[str, Fd], reply: Reply) -> None:
        client.listening, client.forgetting = True, bool(body.get("forgetting", True))
        guests, entered = ([each.described() for each in table.values()] for table in (self._held, self._entered))
        reply({"version": VERSION, "pid": 0, "guests": guests, "executions": entered})

    def _fetch(self, client: FakeClient, body: dict[str, Any], fds: dict[str, Fd], reply: Reply) -> None:
        held = self._meant(body)
        fds = {name: duplicate(fd) for name, fd in held.kept.items()}
        fds |= {**held.fds(self._host), **held.rings()}
        reply({"pid": held.pid, "state": held.phase.name, "status": held.status}, fds)

    def _launch(self, client: FakeClient, body: dict[str, Any], fds: dict[str, Fd], reply: Reply) -> None:
        uuid = body["uuid"]
        if uuid in self._held:
            raise RefusalError(f"a guest with the UUID {uuid} is held already")
        performance, group = Performance.of(contents(fds[IMAGE])), self._host.group_made_by(body["launch"])
        process = self._host.clone(uuid=uuid, launch=body["launch"], group=group.path, pid=body.get("pid"))
        self._held[uuid] = FakeHeld(
            process=process,
            uuid=uuid,
            launch=body["launch"],
            pid=process.pid,
            born=process.born,
            phase=StartPhase.CLONED,
            requester=client,
            performance=performance,
        )
        reply({"pid": process.pid})

    def _go(self, client: FakeClient, body: dict[str, Any], fds: dict[str, Fd], reply: Reply) -> None:
        held = self._meant(body)
        if held.phase is not StartPhase.CLONED:
            raise RefusalError(f"the guest is not {StartPhase.CLONED.value}: it is {held.phase.value}")
        held.phase, held.pending = StartPhase.STARTING, reply
        self._host.later(lambda: self._performed(held))

    def _performed(self, held: FakeHeld) -> None:
        """The steps of a child are done, unless it stands still with the guest that it is born into."""
        if not (self.alive and held.process.lives and held.phase is StartPhase.STARTING):
            return
        group = self._host.group(held.process.group)
        if group.frozen:
            group.when_thawed(lambda: self._host.later(lambda: self._performed(held)))
            return
        held.consoles = self._host.open_consoles(held.process, held.performance.consoles)
        if held.performance.hold:
            held.channel = self._host.hold(held.process)
            held.phase = StartPhase.HELD
            self._began(held)
        else:
            self._execute(held)

    def _execute(self, held: FakeHeld) -> None:
        try:
            self._host.before(f"execute {held.execution or held.uuid}")
        except OSError as error:
            pending, held.pending = held.pending, None
            if pending is not None:
                pending(
                    {"error": {"text": f"cannot execute {held.execution or 'init'}", "step": "0", "errno": error.errno}}
                )
            if held.phase is StartPhase.EXECUTING:  # it had been held, and nobody is to hear that it ended
                held.phase = StartPhase.STARTING
            self._host.end(held.process, 127 << 8)
            return
        held.process.executed = True
        held.phase = StartPhase.RUNNING
        self._began(held)

    def _began(self, held: FakeHeld) -> None:
        pending, held.pending = held.pending, None
        if pending is not None:
            pending({"pid": held.pid}, held.fds(self._host))

    def _proceed(self, client: FakeClient, body: dict[str, Any], fds: dict[str, Fd], reply: Reply) -> None:
        held = self._meant(body)
        if held.phase is StartPhase.RUNNING:
            reply({"pid": held.pid}, held.fds(self._host))
            return
        if held.phase is not StartPhase.HELD:
            raise RefusalError(f"the guest is not {StartPhase.HELD.value}: it is {held.phase.value}")
        held.phase, held.pending = StartPhase.EXECUTING, reply
        self._host.later(lambda: self._proceeded(held))

    def _proceeded(self, held: FakeHeld) -> None:
        process = held.process
        if not (process.lives and held.phase is StartPhase.EXECUTING):
            return
        if process.channel >= 0:
            os.close(process.channel)
            process.channel = NO_FD
        if self.alive:
            if held.channel >= 0:
                os.close(held.channel)
                held.channel = NO_FD
            self._execute(held)
        else:
            process.executed = True

    def _abort(self, client: FakeClient, body: dict[str, Any], fds: dict[str, Fd], reply: Reply) -> None:
        held = self._held.get(body.get("uuid", "")) or self._entered.get(body.get("id", ""))
        if held is None or held.phase in (StartPhase.RUNNING, StartPhase.EXITED) or not held.is_of(body.get("launch")):
            reply({"status": None, "failure": None})
        else:
            self._kill_for(held, reply)

    def _kill(self, client: FakeClient, body: dict[str, Any], fds: dict[str, Fd], reply: Reply) -> None:
        held = self._meant(body)
        if held.phase is StartPhase.EXITED:
            reply({"status": held.status})
        else:
            self._kill_for(held, reply)

    def _kill_for(self, held: FakeHeld, reply: Reply) -> None:
        held.killers.append(reply)
        self._host.end(held.process, 9)

    def _enter(self, client: FakeClient, body: dict[str, Any], fds: dict[str, Fd], reply: Reply) -> None:
        uuid, name = body["uuid"], body["id"]
        guest = self._held.get(uuid)
        if guest is not None and guest.phase is not StartPhase.RUNNING:
            raise RefusalError(f"the guest is not running: it is {guest.phase.value}")
        if name in self._entered:
            raise RefusalError(f"there is a process with the id {name} already")
        process = self._host.enter(uuid, name)
        held = self._entered[name] = FakeHeld(
            process=process,
            uuid=uuid,
            launch=process.launch,
            pid=process.pid,
            born=process.born,
            phase=StartPhase.STARTING,
            requester=client,
            execution=name,
            foreign=guest is None,
            pending=reply,
        )
        self._host.later(lambda: self._performed(held))
        self._host.after(PATIENCE, lambda: self._give_up(held))

    def _give_up(self, held: FakeHeld) -> None:
        if self.alive and held.phase is StartPhase.STARTING:
            self._host.end(held.process, 9)

    def _adopt(self, client: FakeClient, body: dict[str, Any], fds: dict[str, Fd], reply: Reply) -> None:
        uuid, pid, born, execution = body["uuid"], body["pid"], body["born"], body.get("id")
        table, name = (self._held, uuid) if execution is None else (self._entered, execution)
        known = table.get(name)
        if known is not None:
            if known.pid != pid:
                raise RefusalError(f"another process is held already as {name}")
            reply()
            return
        if execution is not None:
            self._host.before(f"adopt {execution}")
        process = self._host.processes.get(pid)
        if process is not None:
            born = process.born
        held = table[name] = FakeHeld(
            process=process if process is not None else FakeProcess.gone(pid, born, uuid),
            uuid=uuid,
            launch=body.get("launch"),
            pid=pid,
            born=born,
            phase=StartPhase.RUNNING,
            requester=client,
            execution=execution,
            foreign=execution is not None and uuid not in self._held,
            adopted=True,
        )
        if "channel" in fds and process is not None and process.channel >= 0:
            held.phase, held.channel = StartPhase.HELD, fds.pop("channel")
        held.take_consoles(fds)
        held.keep({name: fds.pop(name) for name in list(fds) if name.startswith("shown")})
        reply()
        if process is None:
            self._host.later(lambda: self.process_ended(pid, born))

    def _keep(self, client: FakeClient, body: dict[str, Any], fds: dict[str, Fd], reply: Reply) -> None:
        self._meant(body).keep(fds)
        reply()

    def _status(self, client: FakeClient, body: dict[str, Any], fds: dict[str, Fd], reply: Reply) -> None:
        reply({"status": self._host.ended.get((body["pid"], body["born"]))})

    def _forget(self, client: FakeClient, body: dict[str, Any], fds: dict[str, Fd], reply: Reply) -> None:
        name = body.get("id")
        if name is not None:
            held = self._entered.get(name)
            if held is None:
                raise RefusalError(f"no process with the id {name} is held")
        else:
            if body["uuid"] not in self._held:
                if body.get("born") is not None:
                    self._host.ended.pop((body["pid"], body["born"]), None)
                self._drop_entered(body["uuid"])
            held = self._meant(body)
        if held.adopted and held.phase is not StartPhase.EXITED and not held.process.lives:
            self._conclude(held)
        if held.phase is not StartPhase.EXITED:
            raise RefusalError(f"it cannot be forgotten: it is {held.phase.value}")
        self._drop(held)
        if name is None:
            self._drop_entered(held.uuid)
        reply()

    def _drop_entered(self, uuid: str) -> None:
        """Let go of what has ended in a guest."""
        for each in list(self._entered.values()):
            if each.uuid == uuid and each.phase is StartPhase.EXITED:
                self._drop(each)

    def _quit(self, client: FakeClient, body: dict[str, Any], fds: dict[str, Fd], reply: Reply) -> None:
        if self._held or self._entered:
            raise RefusalError(f"{len(self._held)} guest(s) and {len(self._entered)} process(es) are held")
        self._host.ended.clear()
        reply()
        self._host.later(self._host.kill_keeper)
