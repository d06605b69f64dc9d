import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from jeepney import HeaderFields, Message
from jeepney.low_level import Parser

from insula.engine.launch import systemdscope
from insula.engine.launch.systembus import SystemBus
from insula.engine.launch.systemdscope import (
    Scope,
    ScopeError,
    Scopes,
    job_state,
    start_unit,
    state_of,
    stop_unit,
)
from tests.unit.engine.launch.fakebus import FakeBus, member, refused, returned
from tests.waiting import until

UNIT = r"machine-insula\x2d01234567.scope"
SCOPE = Scope(unit=UNIT, slice="machine.slice", leader=4711)
PATH = f"machine.slice/{UNIT}"


def received(message: Message) -> tuple[str, str, str, Any]:
    """Return what the other end of the bus reads: service, method, signature and body."""
    parser = Parser()
    parser.add_data(message.serialise(serial=1))
    arrived = parser.get_next_message()
    assert arrived is not None
    fields = arrived.header.fields
    signature = str(fields.get(HeaderFields.signature, ""))
    return str(fields[HeaderFields.destination]), str(fields[HeaderFields.member]), signature, arrived.body


def test_a_scope_leaves_the_hosts_shutdown_to_its_slice_and_limits_to_the_guests_group() -> None:
    service, method, signature, (unit, mode, properties, auxiliary) = received(start_unit(SCOPE))
    assert (service, method, signature) == ("org.freedesktop.systemd1", "StartTransientUnit", "ssa(sv)a(sa(sv))")
    assert (unit, mode, auxiliary) == (UNIT, "fail", [])
    assert {key: value for key, (_, value) in properties} == {
        "Description": "Ready for a container of Insula's",
        "Slice": "machine.slice",
        "PIDs": [4711],
        "Delegate": True,
        "DefaultDependencies": False,
        "CollectMode": "inactive-or-failed",
        "TasksMax": (1 << 64) - 1,
        "Before": ["insula-guests.service", "virt-guest-shutdown.target"],
        "After": ["insulad.service", "insula-keeper.scope", "dbus.service"],
    }


def test_where_somebody_is_told_of_stops_they_begin_with_a_signal_that_nobody_notices() -> None:
    *_, (_, _, properties, _) = received(start_unit(SCOPE, stops_told=True))
    assert dict(properties)["KillSignal"] == ("i", signal.SIGCONT)


def test_a_unit_is_ended_by_its_name() -> None:
    assert received(stop_unit("a.scope"))[1:] == ("StopUnit", "ss", ("a.scope", "replace"))


def test_states_are_properties() -> None:
    assert received(state_of("a-b.scope"))[1:] == ("Get", "ss", ("org.freedesktop.systemd1.Unit", "ActiveState"))
    assert state_of("a-b.scope").header.fields[HeaderFields.path] == "/org/freedesktop/systemd1/unit/a_2db_2escope"
    assert received(job_state("/j/7"))[1:] == ("Get", "ss", ("org.freedesktop.systemd1.Job", "State"))


class FakeSystemd:
    """A systemd that takes orders. moves: whether it moves the leader once it has one; done: its job is over.

    leader, others: the leader's group in the v2 hierarchy, None once it has ended, and in other ones.
    """

    def __init__(self) -> None:
        self.bus = FakeBus(self.answer)
        self.scopes = Scopes(SystemBus(self.bus.opened))
        self.leader: str | None = "insulad.service"
        self.moves = True
        self.done = True
        self.refusals: list[str] = []
        self.others: dict[str, str] = {}
        self.state = "active"

    def place(self, path: str) -> None:
        self.leader = path

    def groups_of(self, pid: int) -> dict[str, str]:
        if self.leader is None:
            raise ProcessLookupError(pid)
        return {**self.others, "": self.leader}

    def answer(self, message: Message) -> Message | None:
        match member(message):
            case "StartTransientUnit":
                if self.refusals:
                    return refused(message, self.refusals.pop(0), "it said no")
                if self.moves:
                    self.place(PATH)
                return returned(message, "o", "/org/freedesktop/systemd1/job/7")
            case "Get" if message.body[0].endswith(".Job"):
                if self.done:
                    return refused(message, "org.freedesktop.DBus.Error.UnknownObject")
                return returned(message, "v", ("s", "running"))
            case "Get":
                return returned(message, "v", ("s", self.state))
            case "StopUnit" if self.refusals:
                return refused(message, self.refusals.pop(0), "it said no")
        return returned(message)


@pytest.fixture
def systemd(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSystemd]:
    made = FakeSystemd()
    monkeypatch.setattr(systemdscope, "groups_of", made.groups_of)
    monkeypatch.setattr(systemdscope, "_DOUBT", 0.05)
    monkeypatch.setattr(systemdscope, "_RESTART_PAUSE", 0.01)
    yield made
    made.scopes.close()
    made.bus.close()


def test_a_scope_is_awaited_until_its_leader_stands_in_it(systemd: FakeSystemd) -> None:
    systemd.moves = False
    awaited = systemd.scopes.ask(SCOPE)
    until(lambda: systemd.bus.members() == ["StartTransientUnit"], "the order having arrived")
    systemd.done = False
    threading.Timer(0.1, systemd.place, [PATH]).start()
    assert systemd.scopes.await_leader(awaited) == PATH


def test_one_that_stands_there_already_asks_nothing_more(systemd: FakeSystemd) -> None:
    awaited = systemd.scopes.ask(SCOPE)
    until(lambda: systemd.leader == PATH, "the leader having been moved")
    assert systemd.scopes.await_leader(awaited) == PATH
    assert systemd.bus.members() == ["StartTransientUnit"]


def test_where_there_are_more_hierarchies_all_of_them_are_awaited(systemd: FakeSystemd) -> None:
    systemd.others = {"memory": "", "name=systemd": "x"}
    systemd.done = False
    awaited = systemd.scopes.ask(SCOPE)
    threading.Timer(0.1, setattr, [systemd, "done", True]).start()
    assert systemd.scopes.await_leader(awaited) == PATH
    assert "Get" in systemd.bus.members()
    assert systemd.done


def test_a_refusal_is_told_in_systemds_words(systemd: FakeSystemd) -> None:
    systemd.refusals = ["org.freedesktop.systemd1.UnitExists"]
    with pytest.raises(ScopeError, match="it said no"):
        systemd.scopes.await_leader(systemd.scopes.ask(SCOPE))


def test_a_job_that_ends_without_the_leader_moved_has_failed(systemd: FakeSystemd) -> None:
    systemd.moves = False
    with pytest.raises(ScopeError, match="was not started: `journalctl"):
        systemd.scopes.await_leader(systemd.scopes.ask(SCOPE))


def test_a_leader_that_ends_meanwhile_is_told_at_once(systemd: FakeSystemd) -> None:
    systemd.moves = systemd.done = False
    awaited = systemd.scopes.ask(SCOPE)
    systemd.leader = None
    with pytest.raises(ScopeError, match="process 4711, which it is made around, has ended"):
        systemd.scopes.await_leader(awaited)


def test_a_systemd_that_does_nothing_is_not_waited_for_without_end(
    systemd: FakeSystemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemdscope, "_PATIENCE", 0.2)
    systemd.bus.silent = True
    with pytest.raises(ScopeError, match=r"was not made within 0\.2 s"):
        systemd.scopes.await_leader(systemd.scopes.ask(SCOPE))


@pytest.mark.parametrize("lost", ["NoReply", "ServiceUnknown", "NameHasNoOwner", "Disconnected"])
def test_an_order_that_is_lost_with_a_systemd_that_restarts_is_given_again(systemd: FakeSystemd, lost: str) -> None:
    systemd.refusals = [f"org.freedesktop.DBus.Error.{lost}"] * 2
    assert systemd.scopes.await_leader(systemd.scopes.ask(SCOPE)) == PATH
    assert systemd.bus.members() == ["StartTransientUnit"] * 3


def test_an_order_that_is_lost_with_the_bus_is_given_again(systemd: FakeSystemd) -> None:
    systemd.bus.silent = True
    awaited = systemd.scopes.ask(SCOPE)
    until(lambda: systemd.bus.members() == ["StartTransientUnit"], "the order having arrived")
    systemd.bus.silent = False
    systemd.bus.restart()
    assert systemd.scopes.await_leader(awaited) == PATH
    assert systemd.bus.connections == 2


def test_a_systemd_that_never_comes_back_is_not_waited_for_without_end(
    systemd: FakeSystemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemdscope, "_PATIENCE", 0.3)
    systemd.refusals = ["org.freedesktop.DBus.Error.ServiceUnknown"] * 1000
    with pytest.raises(ScopeError, match=r"was not made within 0\.3 s"):
        systemd.scopes.await_leader(systemd.scopes.ask(SCOPE))


def test_an_order_that_was_heard_the_first_time_is_no_error_the_second(systemd: FakeSystemd) -> None:
    systemd.refusals = ["org.freedesktop.DBus.Error.NoReply", "org.freedesktop.systemd1.UnitExists"]
    systemd.state = "activating"
    awaited = systemd.scopes.ask(SCOPE)
    threading.Timer(0.2, systemd.place, [PATH]).start()
    assert systemd.scopes.await_leader(awaited) == PATH


def test_a_scope_that_is_gone_is_no_error_and_other_refusals_are(systemd: FakeSystemd) -> None:
    systemd.refusals = ["org.freedesktop.systemd1.NoSuchUnit", "org.freedesktop.DBus.Error.AccessDenied"]
    systemd.scopes.stop(UNIT)
    with pytest.raises(ScopeError, match="it said no"):
        systemd.scopes.stop(UNIT)


def test_without_a_bus_nothing_is_made() -> None:
    def none() -> Any:
        raise FileNotFoundError(2, "no such file")

    scopes = Scopes(SystemBus(none))
    with pytest.raises(ScopeError, match="there is no system bus"):
        scopes.ask(SCOPE)
    with pytest.raises(ScopeError, match="there is no system bus"):
        scopes.stop(UNIT)
