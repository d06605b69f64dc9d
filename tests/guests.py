"""LaunchAttempt containers in system tests: a real keeper, a blocking link, busybox guests, and what they say."""

import contextlib
import errno
import os
import select
import signal
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from insula.engine.exitstatus import ExitStatus
from insula.engine.facts import Facts
from insula.engine.keeper.link import BlockingLink, KeeperEvent, completed
from insula.engine.keeper.protocol import EventKind, Verb
from insula.engine.keeper.startup import ENDS, connect, spawn_keeper
from insula.engine.launch.launcher import Launcher
from insula.engine.launch.runningcontainer import Running
from insula.engine.spec import Access, BindMount, ContainerSpec, DirectoryRoot, IdMap, IdRange, Process, Root
from insula.errors import KeeperError
from tests.waiting import patience, until

FIRST_ID = 300000
"""The host's id of the test guests' root."""


def id_map(first: int = FIRST_ID, count: int = 65536) -> IdMap:
    ranges = (IdRange(inside=0, outside=first, count=count),)
    return IdMap(uids=ranges, gids=ranges)


def spec(root: Root | Path, *script: str, **changes: Any) -> ContainerSpec:
    """Return an unprivileged container that runs lines of shell; changes: fields of the spec."""
    plain = ContainerSpec(
        name="guest",
        uuid=str(uuid.uuid4()),
        root=DirectoryRoot(path=str(root)) if isinstance(root, Path) else root,
        init=Process(argv=("/bin/sh", "-c", "\n".join(script))),
        idmap=id_map(),
    )
    if changes.get("privileged"):
        changes = {"idmap": None, **changes}
    return replace(plain, **changes)


class Guests:
    """A keeper of the test's own, and a launcher over a link to it. events: what the keeper told, oldest first."""

    def __init__(self, directory: Path) -> None:
        self.socket = directory / "keeper.sock"
        self.log = directory / "keeper.log"
        self.facts = Facts.detect()
        self.events: list[KeeperEvent] = []
        self.keeper_pid = -1
        self._launched: list[Running] = []
        self.start_keeper()

    def start_keeper(self) -> None:
        """Start a keeper, and talk to that from now on."""
        with self.log.open("ab") as log:
            spawn_keeper(self.socket, log=log.fileno())
        self.connect()

    def connect(self) -> None:
        """Be a daemon that has just begun: a new link, which is told events from now on."""
        self.link = BlockingLink(connect(self.socket), self.events.append)
        self.launcher = Launcher(facts=self.facts, link=self.link, keeper_ends=self.socket.with_name(ENDS))
        self.keeper_pid = int(self.ask(Verb.HELLO)["pid"])

    def disconnect(self) -> None:
        self.launcher.close()
        self.link.close()

    @property
    def spawner_pid(self) -> int:
        """The keeper's spawner, once there is one."""
        children = Path(f"/proc/{self.keeper_pid}/task/{self.keeper_pid}/children")

        def found() -> int:
            for child in children.read_text().split():
                with contextlib.suppress(OSError):
                    if Path(f"/proc/{child}/comm").read_text() == "insula-spawner\n":
                        return int(child)
            return 0

        return until(found, "a spawner")

    def ask(self, verb: Verb, **body: Any) -> dict[str, Any]:
        """Ask the keeper directly; return the answer without its fds."""
        answer = completed(self.link.answer(self.link.ask(verb, body, {})))
        answer.close()
        return answer.body

    def launch(self, wanted: ContainerSpec, **options: Any) -> Running:
        """Launch, to be destroyed at the test's end at the latest."""
        running = completed(self.launcher.launch(wanted, **options))
        self._launched.append(running)
        return running

    def destroy(self, running: Running) -> ExitStatus:
        return completed(self.launcher.teardown.destroy(running))

    def wait_for_end(self, running: Running, seconds: float = 10.0) -> ExitStatus:
        """Wait until the keeper tells that the guest has ended."""
        return ExitStatus(status=self._wait_for(EventKind.EXITED, running.uuid, seconds).status)

    def _wait_for(self, kind: EventKind, name: str, seconds: float) -> KeeperEvent:
        deadline = time.monotonic() + patience(seconds)
        while True:
            for event in self.events:
                if event.kind is kind and name == (event.uuid if kind is EventKind.EXITED else event.execution):
                    return event
            if not select.select([self.link], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise TimeoutError(f"no event {kind.value} of {name} came: {self.events}")
            self.link.dispatch()

    def output(self, wanted: ContainerSpec, seconds: float = 10.0) -> tuple[str, ExitStatus]:
        """Launch, and return all that the guest said on its console until its end, and how it ended."""
        running = self.launch(wanted)
        said = b""
        deadline = time.monotonic() + patience(seconds)
        while not any(event.uuid == running.uuid for event in self.events):
            sources: list[Any] = [self.link, running.consoles[0]]
            ready, _, _ = select.select(sources, [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"it said {said!r} and went on"
            if running.consoles[0] in ready:
                said += read_available(running.consoles[0])
            if self.link in ready:
                self.link.dispatch()
        said += read_available(running.consoles[0])
        status = self.wait_for_end(running)
        completed(self.launcher.teardown.release(running, status))
        return said.decode().replace("\r\n", "\n"), status

    def execute(self, running: Running, *argv: str, **options: Any) -> tuple[str, ExitStatus]:
        """Run a program inside; return what it wrote, and how it ended."""
        process = options.pop("process", None) or Process(argv=argv)
        reader, writer = os.pipe2(os.O_CLOEXEC)
        null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        try:
            executed = completed(
                self.launcher.entrance.execute(running, process, stdio=(null, writer, writer), **options),
            )
        except BaseException:
            os.close(reader)
            raise
        finally:
            os.close(writer)
            os.close(null)
        with open(reader, "rb") as stream:
            said = stream.read().decode()
        os.close(executed.pidfd)
        return said, self.wait_for_execution(executed.id)

    def wait_for_execution(self, execution: str, seconds: float = 10.0) -> ExitStatus:
        """Wait until the keeper tells that an entered process has ended, and have it forgotten."""
        status = ExitStatus(status=self._wait_for(EventKind.EXECUTED, execution, seconds).status)
        completed(self.launcher.teardown.forget_execution(execution))
        return status

    def close(self) -> None:
        """End all guests and the keeper."""
        for running in self._launched:
            completed(self.launcher.teardown.destroy(running))
            running.close()
        self.launcher.close()
        with contextlib.suppress(KeeperError):  # one that had a SIGTERM ends by itself with its last guest
            self.ask(Verb.QUIT)
        self.link.close()
        until(lambda: not os.path.exists(f"/proc/{self.keeper_pid}"), "the keeper's end")


def kill_keeper(guests: Guests) -> None:
    """Kill the keeper as a crash would, and see it gone."""
    os.kill(guests.keeper_pid, signal.SIGKILL)
    until(lambda: not os.path.exists(f"/proc/{guests.keeper_pid}"), "the keeper's death")
    guests.disconnect()


def read_available(fd: int) -> bytes:
    """Return what can be read without waiting; nothing from a terminal that is hung up."""
    said = b""
    with contextlib.suppress(OSError):
        while select.select([fd], [], [], 0)[0] and (chunk := os.read(fd, 65536)):
            said += chunk
    return said


def read_until(fd: int, wanted: bytes, seconds: float = 10.0) -> bytes:
    """Return what can be read up to and including wanted. Raises: TimeoutError with what came instead."""
    said = b""
    deadline = time.monotonic() + patience(seconds)
    while wanted not in said:
        if not select.select([fd], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise TimeoutError(f"no {wanted!r} in {said!r}")
        try:
            said += os.read(fd, 65536)
        except OSError as error:
            # A terminal that nobody inside has open at the moment.
            if error.errno != errno.EIO or time.monotonic() > deadline:
                raise TimeoutError(f"no {wanted!r} in {said!r}: {error}") from error
            time.sleep(0.005)
    return said


def facts_of(text: str) -> dict[str, str]:
    """Return the lines `name=value` of a guest's output."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


@pytest.fixture
def guests(scratch: Path, failed_test_logs: dict[str, Path]) -> Iterator[Guests]:
    """A keeper and a launcher of the test's own; guests that are left are destroyed at its end."""
    made = Guests(scratch)
    failed_test_logs["keeper"] = made.log
    yield made
    made.close()


def namespace_ids(pid: int | str, kinds: Sequence[str]) -> dict[str, str]:
    """Return what identifies a process's namespaces."""
    return {kind: os.readlink(f"/proc/{pid}/ns/{kind}") for kind in kinds}


def show_python(root: Path) -> tuple[BindMount, ...]:
    """Let a busybox tree hold links to the host's Python, and return the mounts that show it: see `python_program`."""
    shown = {PYTHON: "/host/python"}
    for path in (Path("/lib"), Path("/lib64"), Path("/usr/lib"), Path("/usr/lib64"), Path("/usr/local/lib")):
        if path.is_symlink():
            (root / path.relative_to("/")).symlink_to(os.readlink(path))
        elif path.is_dir():
            shown[str(path)] = str(path)
    return tuple(
        BindMount(source=source, target=target, access=Access.READ_ONLY, idmapped=False)
        for source, target in shown.items()
    )


PYTHON = os.path.realpath(sys.executable)


def python_program(text: str) -> tuple[str, ...]:
    """Return the words that run Python with that text, in a guest that is shown the host's."""
    return ("/host/python", "-I", "-S", "-c", text)
