"""A keeper in a fork of the test, without a mount namespace of its own: its guests are plain programs."""

import os
import resource
import select
import signal
import socket
from typing import Any

from insula.engine.keeper.keeper import Keeper
from insula.engine.keeper.link import BlockingLink, KeeperEvent, completed
from insula.engine.keeper.protocol import EventKind, Message, Verb
from insula.engine.keeper.spawner import built_program
from insula.engine.steps.guest.confinement import LimitResource
from insula.engine.steps.guest.execution import Execute, PassDescriptors
from insula.engine.steps.guest.gueststep import GuestStep
from tests.players import image_file, program_of
from tests.waiting import patience

BROKEN = LimitResource(why="-", name="CORE", soft=2, hard=1)
"""A step that fails on every host."""
SLEEP = "exec sleep 1000"


class ForkedKeeper:
    """A keeper that ends with its last client, and a link to it; more can be had.

    lingers: it waits for others then; forks: it clones itself, as where no spawner can be executed.
    """

    def __init__(self, *, lingers: bool = False, forks: bool = False) -> None:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind("")
        listener.listen()
        self.address = listener.getsockname()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.fork()
        if self.pid == 0:
            try:
                ours.close()
                null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
                program = b"" if forks else built_program()
                keeper = Keeper(resource.getrlimit(resource.RLIMIT_NOFILE), spawner=program, null=null)
                signal.signal(signal.SIGTERM, lambda *_: keeper.leave_when_over())
                keeper.clients.listen(listener)
                keeper.clients.welcome(theirs)
                keeper.run(while_connected=not lingers)
                os._exit(0)
            except SystemExit as wanted:
                os._exit(int(wanted.code or 0) + 50)
            finally:
                os._exit(1)
        listener.close()
        theirs.close()
        self.events: list[KeeperEvent] = []
        self.link = BlockingLink(ours, self.events.append)
        self.links = [self.link]

    def another(self) -> BlockingLink:
        """Return a link of another client, which hears its own events."""
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        channel.connect(self.address)
        link = BlockingLink(channel, self.events.append)
        self.links.append(link)
        return link

    def tell(self, verb: Verb, fds: dict[str, int] | None = None, **body: Any) -> Message:
        """Ask, and return the answer with its fds."""
        return completed(self.link.answer(self.link.ask(verb, body, fds or {})))

    def ask(self, verb: Verb, fds: dict[str, int] | None = None, **body: Any) -> dict[str, Any]:
        """Ask, and return the answer without its fds."""
        answer = self.tell(verb, fds, **body)
        answer.close()
        answer.body.pop("answer")
        return answer.body

    def bear(
        self,
        uuid: str,
        *steps: GuestStep,
        child_early: tuple[GuestStep, ...] = (),
        launch: str | None = None,
        hold: bool = False,
    ) -> int:
        """Have a first process born that waits for go; return its pid."""
        fd = image_file(program_of(*steps, child_early=child_early, hold=hold))
        pid = self.ask(Verb.LAUNCH, {"image": fd}, uuid=uuid, launch=launch, namespaces=[])["pid"]
        os.close(fd)
        return int(pid)

    def start(self, uuid: str, script: str, *, launch: str | None = None) -> int:
        """Have a guest run a script of shell; return its pid."""
        pid = self.bear(uuid, *program(script), launch=launch)
        assert self.ask(Verb.GO, uuid=uuid)["pid"] == pid
        return pid

    def stage_of(self, uuid: str) -> str | None:
        guests = self.ask(Verb.HELLO)["guests"]
        return next((guest["state"] for guest in guests if guest["uuid"] == uuid), None)

    def adopt(self, uuid: str, pid: int, *consoles: int) -> None:
        """Hand a process over, as if a keeper that held it had died."""
        pidfd = os.pidfd_open(pid)
        fds = {"pidfd": pidfd, **{f"console{number}": fd for number, fd in enumerate(consoles)}}
        self.ask(Verb.ADOPT, fds, uuid=uuid, pid=pid)
        os.close(pidfd)

    def wait_for_event(self, kind: EventKind) -> KeeperEvent:
        while not any(event.kind is kind for event in self.events):
            assert select.select([self.link], [], [], patience(60))[0], f"no event {kind.value}"
            self.link.dispatch()
        return next(event for event in self.events if event.kind is kind)

    def end(self) -> int:
        """Leave it alone; return its exit code."""
        for link in self.links:
            link.close()
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def program(script: str) -> tuple[GuestStep, ...]:
    return (
        PassDescriptors(why="-", count=0),
        Execute(why="-", argv=["/bin/sh", "-c", script], env=[["PATH", os.environ["PATH"]]]),
    )


def gone(pid: int) -> bool:
    return not os.path.exists(f"/proc/{pid}")
