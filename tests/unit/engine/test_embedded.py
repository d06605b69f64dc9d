import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from insula.engine import embedded
from insula.engine.embedded import Engine, label_of_program, remove_abandoned
from insula.engine.exitstatus import ExitStatus
from insula.engine.facts import Facts
from insula.engine.keeper.protocol import Verb, receive, send
from insula.engine.launch.runningcontainer import Running
from insula.errors import KeeperError, OperationTimeoutError
from insula.kernel.cgroups import Cgroup, Hierarchies
from insula.kernel.fds import memory_file
from insula.kernel.process import has_ended
from tests.unit.engine.desk import record_of

FACTS = Facts(
    hierarchies=Hierarchies(v2="/sys/fs/cgroup"),
    kernel="6.1",
    pids_max=32768,
    chosen_pids=True,
    detached_layers=True,
    device_nodes=True,
    time_namespaces=True,
    keyrings=True,
    filesystems=frozenset({"tmpfs"}),
)


class Keeper:
    """A keeper's end of the channel: answers every request, and tells what it is told to tell."""

    def __init__(self) -> None:
        self.theirs, self.ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.asked: list[dict[str, object]] = []
        self.process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def start(self, *, log: int | None = None) -> tuple[socket.socket, "subprocess.Popen[bytes]"]:
        return self.theirs, self.process

    def _serve(self) -> None:
        while (message := receive(self.ours)) is not None:
            self.asked.append(message.body)
            fds = {}
            if message.body["verb"] == Verb.FETCH.value:
                fds = {f"ring{number}": memory_file("ring", b"said %d" % number) for number in (1, 0)}
            send(self.ours, {"answer": message.body["request"]}, fds)
            for fd in fds.values():
                os.close(fd)
        assert self.process.stdin is not None
        self.process.stdin.close()

    def tell(self, event: str, uuid: str, status: int | None, execution: str | None = None) -> None:
        send(self.ours, {"event": event, "uuid": uuid, "status": status, "id": execution})

    def end(self) -> None:
        self.thread.join()
        self.ours.close()
        self.process.wait()


@pytest.fixture
def keeper(monkeypatch: pytest.MonkeyPatch) -> Iterator[Keeper]:
    made = Keeper()
    monkeypatch.setattr(embedded, "private_keeper", made.start)
    monkeypatch.setattr(Facts, "detect", lambda: FACTS)
    monkeypatch.setattr(embedded, "remove_empty_partitions", lambda hierarchies: None)
    yield made
    made.end()


def test_only_empty_groups_of_programs_that_are_gone_are_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    populated = {"gone-full": True}
    removed: list[str] = []
    ours = label_of_program(os.getpid())
    found = [
        ("gone", "4194304 1"),
        ("gone-full", "4194304 1"),
        ("alive", ours),
        ("reused", f"{os.getpid()} 1"),
        ("odd", "?"),
    ]
    groups = [(Cgroup(FACTS.hierarchies, name), label) for name, label in found]
    monkeypatch.setattr(embedded, "labelled", lambda *_: groups)
    monkeypatch.setattr(Cgroup, "populated", property(lambda group: populated.get(group.path, False)))
    monkeypatch.setattr(Cgroup, "remove", lambda group, _: removed.append(group.path))
    remove_abandoned(FACTS.hierarchies)
    assert removed == ["gone", "reused", "odd"]


def ended_process() -> int:
    """Return a pidfd of a process that has ended and is not ours to reap any more."""
    process = subprocess.Popen(["true"])
    pidfd = os.pidfd_open(process.pid)
    process.wait()
    return pidfd


def test_an_engine_listens_and_leaves_the_consoles_to_its_keeper(keeper: Keeper) -> None:
    with Engine():
        pass
    assert [(each["verb"], each["consoles"]) for each in keeper.asked] == [("hello", False)]


def test_what_consoles_said_comes_in_their_order(keeper: Keeper) -> None:
    with Engine() as engine:
        assert engine.said("u") == [b"said 0", b"said 1"]


def test_an_end_that_is_told_before_it_is_asked_for_is_remembered(keeper: Keeper) -> None:
    pidfd = ended_process()
    with Engine() as engine:
        keeper.tell("executed", "u", 7 << 8, "e1")
        keeper.tell("exited", "u", 9)
        assert engine.end_of("u", pidfd, 5) == 9
        assert engine.end_of("e1", pidfd, 5) == 7 << 8
    os.close(pidfd)


def test_an_end_that_nobody_asked_for_is_not_kept_beyond_the_container(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = Running(record=record_of(os.getpid()), group=Cgroup(FACTS.hierarchies, "c"))

    async def destroyed(_: Running) -> ExitStatus:
        return ExitStatus(status=9)

    with Engine() as engine:
        monkeypatch.setattr(engine.launcher.teardown, "destroy", destroyed)
        keeper.tell("exited", running.uuid, 9)
        engine.said("u")
        assert engine._ends == {running.uuid: 9}
        assert engine.destroy(running) == ExitStatus(status=9)
        assert engine._ends == {}


def test_an_end_that_nobody_can_know_is_none(keeper: Keeper) -> None:
    pidfd = ended_process()
    with Engine() as engine:
        keeper.tell("exited", "u", None)
        assert engine.end_of("u", pidfd, 5) is None
    os.close(pidfd)


def test_waiting_for_what_runs_ends_with_its_time_limit(keeper: Keeper) -> None:
    pidfd = os.pidfd_open(os.getpid())
    with Engine() as engine:
        assert not has_ended(pidfd)
        with pytest.raises(OperationTimeoutError, match=r"not ended within 0\.01 s"):
            engine.end_of("u", pidfd, 0.01)
    os.close(pidfd)


def test_a_keeper_that_tells_nothing_is_not_waited_for_for_ever(keeper: Keeper) -> None:
    pidfd = ended_process()
    with Engine() as engine, pytest.raises(OperationTimeoutError, match="keeper does not tell"):
        engine.end_of("u", pidfd, 0.1)
    os.close(pidfd)


def test_a_keeper_that_is_gone_is_an_error(keeper: Keeper) -> None:
    with Engine() as engine:
        keeper.ours.shutdown(socket.SHUT_RDWR)
        with pytest.raises(KeeperError):
            engine.said("u")
