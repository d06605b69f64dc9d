"""The fake keeper speaks the keeper's protocol."""

import errno
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from insula.engine.keeper.protocol import IMAGE, Verb
from insula.kernel.fds import Fd, close_all, sealed_file
from insula.testing import FakeHost, FakeKeeper
from insula.testing.emptyprograms import Performance

WEB = "00000000-0000-0000-0000-000000000001"
GROUP = "machine.slice/web"


class Asker:
    """A client that keeps what it is told."""

    def __init__(self, keeper: FakeKeeper) -> None:
        self.told: list[dict[str, Any]] = []
        self.lost = False
        self._keeper = keeper
        self.client = keeper.connect(self._tell, self._lost)
        self._number = 0

    def _tell(self, body: dict[str, Any], fds: dict[str, Fd]) -> None:
        close_all(fds.values())
        self.told.append({**body, "fds": sorted(fds)})

    def _lost(self) -> None:
        self.lost = True

    def ask(self, verb: Verb, *, fds: dict[str, Fd] | None = None, **body: Any) -> dict[str, Any]:
        self._number += 1
        self._keeper.hear(self.client, {"request": self._number, "verb": verb.value, **body}, fds or {})
        return next(each for each in self.told if each.get("answer") == self._number)


@pytest.fixture
def host() -> Iterator[FakeHost]:
    made = FakeHost()
    made.make_group(GROUP, maker="a")
    yield made
    made.close()


@pytest.fixture
def asker(host: FakeHost) -> Asker:
    return Asker(host.start_keeper())


def program(*, hold: bool = False, consoles: int = 0) -> dict[str, Fd]:
    return {IMAGE: sealed_file("program", Performance(hold=hold, consoles=consoles).program.image)}


def launched(asker: Asker, *, hold: bool = False) -> int:
    pid: int = asker.ask(Verb.LAUNCH, uuid=WEB, launch="a", fds=program(hold=hold))["pid"]
    assert asker.ask(Verb.GO, uuid=WEB, launch="a")["pid"] == pid
    return pid


def test_a_launched_guest_is_held_and_its_end_is_told(host: FakeHost, asker: Asker) -> None:
    asker.ask(Verb.HELLO)
    pid = launched(asker)
    assert asker.ask(Verb.HELLO)["guests"][0]["state"] == "RUNNING"
    host.end(host.processes[pid], 0)
    assert {"event": "exited", "uuid": WEB, "id": None, "status": 0, "fds": []} in asker.told
    assert asker.ask(Verb.FETCH, uuid=WEB)["status"] == 0
    assert "error" not in asker.ask(Verb.FORGET, uuid=WEB)
    assert asker.ask(Verb.HELLO)["guests"] == []


def test_a_held_guest_runs_when_it_is_told_to_proceed(host: FakeHost, asker: Asker) -> None:
    pid = launched(asker, hold=True)
    assert not host.processes[pid].executed
    assert asker.ask(Verb.FETCH, uuid=WEB)["fds"] == ["channel", "pidfd"]
    assert asker.ask(Verb.PROCEED, uuid=WEB)["pid"] == pid
    assert host.processes[pid].executed


def test_what_was_not_told_to_go_ends_with_its_client(host: FakeHost, asker: Asker) -> None:
    asker.ask(Verb.LAUNCH, uuid=WEB, launch="a", fds=program())
    assert host.keeper is not None
    host.keeper.disconnect(asker.client)
    assert host.processes == {}


def test_a_kill_is_answered_with_the_status(asker: Asker) -> None:
    launched(asker)
    assert asker.ask(Verb.KILL, uuid=WEB, launch="a")["status"] == 9


def test_another_launch_is_not_meant(asker: Asker) -> None:
    launched(asker)
    assert "error" in asker.ask(Verb.KILL, uuid=WEB, launch="b")
    assert asker.ask(Verb.ABORT, uuid=WEB, launch="b")["status"] is None


def test_a_guest_whose_keeper_died_is_adopted_by_the_next(host: FakeHost, asker: Asker) -> None:
    pid = launched(asker)
    host.kill_keeper()
    assert asker.lost
    after = Asker(host.start_keeper())
    after.ask(Verb.HELLO)
    after.ask(Verb.ADOPT, uuid=WEB, launch="a", pid=pid, born=host.processes[pid].born)
    host.end(host.processes[pid], 2)
    assert [each["status"] for each in after.told if "event" in each] == [2]


def test_a_guest_that_ended_without_keeper_is_remembered(host: FakeHost, asker: Asker) -> None:
    pid = launched(asker)
    born = host.processes[pid].born
    host.kill_keeper()
    host.end(host.processes[pid], 2)
    assert Asker(host.start_keeper()).ask(Verb.STATUS, pid=pid, born=born)["status"] == 2


def test_it_quits_only_if_it_holds_nothing(host: FakeHost, asker: Asker) -> None:
    launched(asker)
    assert "error" in asker.ask(Verb.QUIT)
    asker.ask(Verb.KILL, uuid=WEB)
    asker.ask(Verb.FORGET, uuid=WEB)
    asker.ask(Verb.QUIT)
    assert host.keeper is None


# What is put into guests


def entered(asker: Asker, name: str = "7") -> int:
    pid: int = asker.ask(Verb.EXECUTE, uuid=WEB, id=name)["pid"]
    return pid


def test_a_program_is_put_into_a_guest_and_its_end_is_told_and_kept_until_it_is_to_be_forgotten(
    host: FakeHost, asker: Asker
) -> None:
    asker.ask(Verb.HELLO)
    launched(asker)
    pid = entered(asker)
    (told,) = asker.ask(Verb.HELLO)["executions"]
    assert (told["id"], told["pid"], told["state"]) == ("7", pid, "RUNNING")
    host.end(host.processes[pid], 256)
    assert {"event": "executed", "uuid": WEB, "id": "7", "status": 256, "fds": []} in asker.told
    assert host.guests()[WEB].lives
    assert host.keeper is not None
    assert host.keeper.entered == {"7"}
    assert "error" not in asker.ask(Verb.FORGET, id="7")
    assert (host.keeper.entered, host.ended) == (frozenset(), {})
    assert "error" in asker.ask(Verb.FORGET, id="7")


def test_the_end_of_a_program_is_forgotten_once_it_is_told_to_who_only_listens(host: FakeHost, asker: Asker) -> None:
    asker.ask(Verb.HELLO, forgetting=False)
    launched(asker)
    host.end(host.processes[entered(asker)], 0)
    assert [each["held"] for each in asker.told if each.get("event") == "executed"] == [False]
    assert host.keeper is not None
    assert host.keeper.entered == frozenset()


def test_programs_end_with_their_guest_and_are_forgotten_with_it(host: FakeHost, asker: Asker) -> None:
    launched(asker)
    pid = entered(asker)
    asker.ask(Verb.KILL, uuid=WEB)
    assert host.processes == {}
    assert [each.status for each in host.entered if each.pid == pid] == [9]
    asker.ask(Verb.FORGET, uuid=WEB)
    asker.ask(Verb.QUIT)
    assert (host.keeper, host.ended) == (None, {})


def test_nothing_enters_what_does_not_run_or_under_a_name_that_is_taken(asker: Asker) -> None:
    assert "error" in asker.ask(Verb.EXECUTE, uuid=WEB, id="7")
    launched(asker, hold=True)
    assert "error" in asker.ask(Verb.EXECUTE, uuid=WEB, id="7")
    asker.ask(Verb.PROCEED, uuid=WEB)
    entered(asker)
    assert "error" in asker.ask(Verb.EXECUTE, uuid=WEB, id="7")
    assert "error" in asker.ask(Verb.QUIT)


def test_what_enters_a_frozen_guest_waits_until_it_is_thawed_given_up_or_too_late(host: FakeHost, asker: Asker) -> None:
    waiting: list[Callable[[], None]] = []
    host.after = lambda seconds, work: waiting.append(work)
    launched(asker)
    group = host.group(GROUP)

    def ask(name: str) -> None:
        assert host.keeper is not None
        body = {"request": f"of {name}", "verb": "execute", "uuid": WEB, "id": name}
        host.keeper.hear(asker.client, body, {})

    def answers(name: str) -> list[str]:
        return [
            key for each in asker.told if each.get("answer") == f"of {name}" for key in ("pid", "error") if key in each
        ]

    group.freeze()
    for name in "abc":
        ask(name)
    assert not any(each.executed for each in host.inside(WEB))
    asker.ask(Verb.ABORT, id="b")
    waiting[-1]()
    assert (answers("a"), answers("b"), answers("c")) == ([], ["error"], ["error"])
    group.thaw()
    assert answers("a") == ["pid"]
    asker.ask(Verb.ABORT, id="a")
    assert [each.executed for each in host.inside(WEB)] == [True]


def test_a_program_whose_keeper_died_is_adopted_and_one_that_ended_meanwhile_is_too(
    host: FakeHost, asker: Asker
) -> None:
    launched(asker)
    alive, ended = entered(asker, "7"), entered(asker, "8")
    born = {pid: host.processes[pid].born for pid in (alive, ended)}
    host.kill_keeper()
    host.end(host.processes[ended], 256)
    after = Asker(host.start_keeper())
    after.ask(Verb.HELLO, forgetting=False)
    after.ask(Verb.ADOPT, uuid=WEB, id="7", pid=alive, born=None)
    after.ask(Verb.ADOPT, uuid=WEB, id="8", pid=ended, born=born[ended])
    host.end(host.processes[alive], 9)
    assert [(each["id"], each["status"]) for each in after.told if "event" in each] == [("8", 256), ("7", 9)]
    assert host.ended == {}


def test_a_program_that_cannot_be_executed_is_told_and_gone(host: FakeHost, asker: Asker) -> None:
    launched(asker)

    def refuse(what: str) -> None:
        if what == "execute 7":
            raise OSError(errno.ENOENT, what)

    host.before = refuse
    assert asker.ask(Verb.EXECUTE, uuid=WEB, id="7")["error"]["errno"] == errno.ENOENT
    assert host.inside(WEB) == []
    assert "error" in asker.ask(Verb.FORGET, id="7")


# Consoles


def test_consoles_and_what_the_daemon_keeps_are_handed_over_with_what_was_said_meanwhile(
    host: FakeHost, asker: Asker
) -> None:
    asker.ask(Verb.LAUNCH, uuid=WEB, launch="a", fds=program(consoles=2))
    asker.ask(Verb.GO, uuid=WEB, launch="a")
    assert asker.told[-1]["fds"] == ["console0", "console1", "pidfd"]
    asker.ask(Verb.KEEP, uuid=WEB, fds={"shown0": Fd(os.open("/dev/null", os.O_RDONLY))})
    os.write(host.guests()[WEB].terminals[1], b"login: ")
    assert asker.ask(Verb.FETCH, uuid=WEB)["fds"] == ["console0", "console1", "pidfd", "ring1", "shown0"]
    assert asker.ask(Verb.FETCH, uuid=WEB)["fds"] == ["console0", "console1", "pidfd", "shown0"]
    asker.ask(Verb.KILL, uuid=WEB)
    asker.ask(Verb.FORGET, uuid=WEB)
    assert host.fds() == set()
