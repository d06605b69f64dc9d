"""A keeper without processes: it speaks the keeper's protocol (`engine.handshake`) over a `FakeHost`."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from insula.engine.keeper.clients import RefusalError
from insula.engine.keeper.held import StartPhase
from insula.engine.keeper.protocol import VERSION, EventKind, Verb
from insula.kernel.fds import NO_FD, Fd, close_all

if TYPE_CHECKING:
    from insula.testing.fakehost import FakeHost, FakeProcess

Tell = Callable[[dict[str, Any], dict[str, Fd]], None]
"""Passes a message on; who gets it owns its fds."""
Reply = Callable[..., None]


@dataclass(kw_only=True, slots=True, eq=False)
class FakeClient:
    """A connection. lost: called when the keeper dies; listening: it is told events."""

    tell: Tell
    lost: Callable[[], None]
    listening: bool = False


@dataclass(kw_only=True, slots=True, eq=False)
class FakeHeld:
    """A process that the keeper holds. pending: who waits for its program; killers: who wait for its end."""

    process: FakeProcess
    uuid: str
    launch: str | None
    pid: int
    born: int
    stage: StartPhase
    requester: FakeClient
    adopted: bool = False
    status: int | None = None
    channel: Fd = NO_FD
    pending: Reply | None = None
    killers: list[Reply] = field(default_factory=list)

    def is_of(self, launch: str | None) -> bool:
        return launch is None or self.launch is None or launch == self.launch

    def fds(self, host: FakeHost) -> dict[str, Fd]:
        fds = {"pidfd": host.pidfd_of(self.process) if self.process.lives else _ended_pidfd()}
        if self.stage is StartPhase.HELD and self.channel >= 0:
            fds["channel"] = Fd(os.dup(self.channel))
        return fds


class FakeKeeper:
    """Holds guests for as long as it lives. asked: the verbs it was asked, in their order."""

    def __init__(self, host: FakeHost) -> None:
        self._host = host
        self._clients: list[FakeClient] = []
        self._wards: dict[str, FakeHeld] = {}
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
            Verb.ADOPT: self._adopt,
            Verb.KEEP: lambda client, body, fds, reply: reply(),
            Verb.STATUS: self._status,
            Verb.FORGET: self._forget,
            Verb.QUIT: self._quit,
            Verb.PING: lambda client, body, fds, reply: reply(),
        }

    @property
    def holds(self) -> frozenset[str]:
        """The UUIDs of the guests that it holds, ended ones too."""
        return frozenset(self._wards)

    def fds(self) -> set[int]:
        """Return the descriptors that it holds."""
        return {ward.channel for ward in self._wards.values() if ward.channel >= 0}

    def connect(self, tell: Tell, lost: Callable[[], None]) -> FakeClient:
        client = FakeClient(tell=tell, lost=lost)
        self._clients.append(client)
        return client

    def disconnect(self, client: FakeClient) -> None:
        """A client has gone: what it had begun and not told to go ends."""
        if client in self._clients:
            self._clients.remove(client)
            for ward in list(self._wards.values()):
                if ward.requester is client and ward.stage is StartPhase.CLONED:
                    self._host.end(ward.process, 9)

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
        for ward in list(self._wards.values()):
            if (ward.pid, ward.born) == (pid, born) and ward.stage is not StartPhase.EXITED:
                self._conclude(ward)

    def close(self) -> None:
        """It has died."""
        self.alive = False
        clients, self._clients = self._clients, []
        for ward in self._wards.values():
            close_all([ward.channel] if ward.channel >= 0 else [])
        for client in clients:
            client.lost()

    def _conclude(self, ward: FakeHeld) -> None:
        ward.status = self._host.ended.get((ward.pid, ward.born))
        if ward.channel >= 0:
            os.close(ward.channel)
            ward.channel = NO_FD
        began = ward.stage in (StartPhase.RUNNING, StartPhase.HELD)
        if ward.pending is not None:
            ward.pending({"error": {"text": f"it ended while {ward.stage.value}", "errno": 0}})
        if began:
            ward.stage = StartPhase.EXITED
            event = {"event": EventKind.EXITED.value, "uuid": ward.uuid, "id": None, "status": ward.status}
            for client in self._clients:
                if client.listening:
                    client.tell(event, {})
        else:
            self._drop(ward)
        for reply in ward.killers:
            reply({"status": ward.status})
        ward.killers.clear()

    def _drop(self, ward: FakeHeld) -> None:
        if self._wards.get(ward.uuid) is ward:
            del self._wards[ward.uuid]
        self._host.ended.pop((ward.pid, ward.born), None)

    def _ward(self, body: dict[str, Any]) -> FakeHeld:
        ward = self._wards.get(body["uuid"])
        if ward is None or not ward.is_of(body.get("launch")):
            raise RefusalError(f"no guest with the UUID {body['uuid']} is held")
        return ward

    # Verbs

    def _hello(self, client: FakeClient, body: dict[str, Any], fds: dict[str, Fd], reply: Reply) -> None:
        client.listening = True
        guests = [
            {"uuid": each.uuid, "id": None, "pid": each.pid, "state": each.stage.name, "status": each.status}
            for each in self._wards.values()
        ]
        reply({"version": VERSION, "pid": 0, "guests": guests, "executions": []})

    def _fetch(self, client: FakeClient, body: dict[str, Any], fds: dict[str, Fd], reply: Reply) -> None:
        ward = self._ward(body)
        reply({"pid": ward.pid, "state": ward.stage.name, "status": ward.status}, ward.fds(self._host))

    def _launch(self, client: FakeClient, body: dict[str, Any], fds: dict[str, Fd], reply: Reply) -> None:
        uuid = body["uuid"]
        if uuid in self._wards:
            raise RefusalError(f"a guest with the UUID {uuid} is held already")
        process = self._host.clone(uuid=uuid, launch=body.get("launch"), group=body["group"])
        self._wards[uuid] = FakeHeld(
            process=process,
            uuid=uuid,
            launch=body.get("launch"),
            pid=process.pid,
            born=process.born,
            stage=StartPhase.CLONED,
            requester=client,
        )
        reply({"pid": process.pid, "born": process.born})

    def _go(self, client: FakeClient, body: dict[str, Any], fds: dict[str, Fd], reply: Reply) -> None:
        ward = self._ward(body)
        if ward.stage is not StartPhase.CLONED:
            raise RefusalError(f"the guest is not {StartPhase.CLONED.value}: it is {ward.stage.value}")
        ward.stage, ward.pending = StartPhase.STARTING, reply
        self._host.later(lambda: self._performed(ward, hold=bool(body.get("hold"))))

    def _performed(self, ward: FakeHeld, *, hold: bool) -> None:
        """The steps of a child are done."""
        if not (self.alive and ward.process.lives and ward.stage is StartPhase.STARTING):
            return
        if hold:
            ward.channel = self._host.hold(ward.process)
            ward.stage = StartPhase.HELD
            self._began(ward)
        else:
            self._execute(ward)

    def _execute(self, ward: FakeHeld) -> None:
        try:
            self._host.before(f"execute {ward.uuid}")
        except OSError as error:
            pending, ward.pending = ward.pending, None
            if pending is not None:
                pending({"error": {"text": "cannot execute init", "step": "0", "errno": error.errno}})
            if ward.stage is StartPhase.EXECUTING:  # it had been held, and nobody is to hear that it ended
                ward.stage = StartPhase.STARTING
            self._host.end(ward.process, 127 << 8)
            return
        ward.process.executed = True
        ward.stage = StartPhase.RUNNING
        self._began(ward)

    def _began(self, ward: FakeHeld) -> None:
        pending, ward.pending = ward.pending, None
        if pending is not None:
            pending({"pid": ward.pid}, ward.fds(self._host))

    def _proceed(self, client: FakeClient, body: dict[str, Any], fds: dict[str, Fd], reply: Reply) -> None:
        ward = self._ward(body)
        if ward.stage is StartPhase.RUNNING:
            reply({"pid": ward.pid}, ward.fds(self._host))
            return
        if ward.stage is not StartPhase.HELD:
            raise RefusalError(f"the guest is not {StartPhase.HELD.value}: it is {ward.stage.value}")
        ward.stage, ward.pending = StartPhase.EXECUTING, reply
        self._host.later(lambda: self._proceeded(ward))

    def _proceeded(self, ward: FakeHeld) -> None:
        process = ward.process
        if not (process.lives and ward.stage is StartPhase.EXECUTING):
            return
        if process.channel >= 0:
            os.close(process.channel)
            process.channel = NO_FD
        if self.alive:
            if ward.channel >= 0:
                os.close(ward.channel)
                ward.channel = NO_FD
            self._execute(ward)
        else:
            process.executed = True

    def _abort(self, client: FakeClient, body: dict[str, Any], fds: dict[str, Fd], reply: Reply) -> None:
        ward = self._wards.get(body.get("uuid", ""))
        if ward is None or ward.stage in (StartPhase.RUNNING, StartPhase.EXITED) or not ward.is_of(body.get("launch")):
            reply({"status": None, "failure": None})
        else:
            self._kill_for(ward, reply)

    def _kill(self, client: FakeClient, body: dict[str, Any], fds: dict[str, Fd], reply: Reply) -> None:
        ward = self._ward(body)
        if ward.stage is StartPhase.EXITED:
            reply({"status": ward.status})
        else:
            self._kill_for(ward, reply)

    def _kill_for(self, ward: FakeHeld, reply: Reply) -> None:
        ward.killers.append(reply)
        self._host.end(ward.process, 9)

    def _adopt(self, client: FakeClient, body: dict[str, Any], fds: dict[str, Fd], reply: Reply) -> None:
        uuid, pid, born = body["uuid"], body["pid"], body["born"]
        known = self._wards.get(uuid)
        if known is not None:
            if known.pid != pid:
                raise RefusalError(f"another guest with the UUID {uuid} is held already")
            reply()
            return
        process = self._host.processes.get(pid)
        ended = (pid, born) in self._host.ended or process is None
        ward = self._wards[uuid] = FakeHeld(
            process=process if process is not None else _gone(pid, born, uuid),
            uuid=uuid,
            launch=body.get("launch"),
            pid=pid,
            born=born,
            stage=StartPhase.RUNNING,
            requester=client,
            adopted=True,
        )
        if "channel" in fds and process is not None and process.channel >= 0:
            ward.stage, ward.channel = StartPhase.HELD, fds.pop("channel")
        reply()
        if ended:
            self._host.later(lambda: self.process_ended(pid, born))

    def _status(self, client: FakeClient, body: dict[str, Any], fds: dict[str, Fd], reply: Reply) -> None:
        reply({"status": self._host.ended.get((body["pid"], body["born"]))})

    def _forget(self, client: FakeClient, body: dict[str, Any], fds: dict[str, Fd], reply: Reply) -> None:
        if body.get("born") is not None and body["uuid"] not in self._wards:
            self._host.ended.pop((body["pid"], body["born"]), None)
        ward = self._ward(body)
        if ward.adopted and ward.stage is not StartPhase.EXITED and not ward.process.lives:
            self._conclude(ward)
        if ward.stage is not StartPhase.EXITED:
            raise RefusalError(f"it cannot be forgotten: it is {ward.stage.value}")
        self._drop(ward)
        reply()

    def _quit(self, client: FakeClient, body: dict[str, Any], fds: dict[str, Fd], reply: Reply) -> None:
        if self._wards:
            raise RefusalError(f"{len(self._wards)} guest(s) are held")
        self._host.ended.clear()
        reply()
        self._host.later(self._host.kill_keeper)


def _ended_pidfd() -> Fd:
    return Fd(os.eventfd(1, os.EFD_CLOEXEC | os.EFD_NONBLOCK))


def _gone(pid: int, born: int, uuid: str) -> FakeProcess:
    from insula.testing.fakehost import FakeProcess

    return FakeProcess(pid=pid, born=born, uuid=uuid, launch=None, group="", ending=NO_FD, status=-1)
