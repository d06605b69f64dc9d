"""The fake keeper speaks the keeper's protocol."""

from collections.abc import Iterator
from typing import Any

import pytest

from insula.engine.keeper.protocol import Verb
from insula.kernel.fds import Fd, close_all
from insula.testing import FakeHost, FakeKeeper

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

    def ask(self, verb: Verb, **body: Any) -> dict[str, Any]:
        self._number += 1
        self._keeper.hear(self.client, {"request": self._number, "verb": verb.value, **body}, {})
        return next(each for each in self.told if each.get("answer") == self._number)


@pytest.fixture
def host() -> Iterator[FakeHost]:
    made = FakeHost()
    made.make_group(GROUP)
    yield made
    made.close()


@pytest.fixture
def asker(host: FakeHost) -> Asker:
    return Asker(host.start_keeper())


def launched(asker: Asker, *, hold: bool = False) -> int:
    pid: int = asker.ask(Verb.LAUNCH, uuid=WEB, launch="a", group=GROUP)["pid"]
    assert asker.ask(Verb.GO, uuid=WEB, launch="a", hold=hold)["pid"] == pid
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
    asker.ask(Verb.LAUNCH, uuid=WEB, launch="a", group=GROUP)
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
