"""A scope of ours: made around it, or joined where it is there already; it goes on where systemd does not help."""

import logging
import os
from collections.abc import Iterator

import pytest
from jeepney import Message

from insula.engine.launch import ownscopes
from insula.engine.launch.ownscopes import OwnProcess, OwnScope, placing, put_into_scope, start_scope
from insula.engine.launch.systembus import SystemBus
from insula.engine.launch.systemdscope import Manager
from tests.unit.engine.launch.fakebus import FakeBus, member, refused, returned

UNIT = "insula-keeper.scope"


class FakeSystemd:
    """A systemd. exists: whether the scope is there; leaving: how many more times it is, though it takes in nobody."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bus = FakeBus(self.answer)
        self.exists = False
        self.leaving = 0
        self.broken = False
        self.inside: set[int] = set()
        self.asked: list[str] = []
        self.properties: dict[str, object] = {}
        monkeypatch.setattr(ownscopes, "in_unit", lambda pid, unit: unit == UNIT and pid in self.inside)
        monkeypatch.setattr(ownscopes, "_LOOK", 0.01)

    def answer(self, message: Message) -> Message:
        method = member(message)
        self.asked.append(method)
        if self.broken:
            return refused(message, "org.freedesktop.DBus.Error.AccessDenied", "no")
        if method == "StartTransientUnit":
            unit, mode, properties, _ = message.body
            assert (unit, mode) == (UNIT, "fail")
            if self.exists or self.leaving:
                self.leaving = max(0, self.leaving - 1)
                return refused(message, "org.freedesktop.systemd1.UnitExists", "it is there")
            self.properties = {name: value for name, (_, value) in properties}
            self.inside |= set(self.properties["PIDs"])  # type: ignore[call-overload]
            return returned(message, "o", "/org/freedesktop/systemd1/job/1")
        assert method == "AttachProcessesToUnit"
        unit, _, pids = message.body
        if not self.exists:
            return refused(message, "org.freedesktop.systemd1.ScopeNotRunning", "it is being removed")
        self.inside |= set(pids)
        return returned(message)

    def put(self, pid: int) -> None:
        bus = SystemBus(self.bus.opened)
        put_into_scope(pid, OwnScope(OwnProcess.KEEPER, "/"), bus)
        bus.close()


@pytest.fixture
def systemd(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSystemd]:
    made = FakeSystemd(monkeypatch)
    yield made
    made.bus.close()


def test_the_hosts_own_installation_has_the_plain_name_and_others_names_of_their_own() -> None:
    assert OwnScope(OwnProcess.KEEPER, "/").unit == UNIT
    names = {OwnScope(OwnProcess.KEEPER, each).unit for each in ("/", "/srv/a", "/srv/b", "/srv-a")}
    assert len(names) == 4
    assert all("/" not in each and each.endswith(".scope") for each in names)


def test_the_views_scope_bears_the_installations_name_and_each_says_what_it_is() -> None:
    view, keeper = OwnScope(OwnProcess.VIEW, "/"), OwnScope(OwnProcess.KEEPER, "/")
    assert view.unit == "insula-view.scope"
    assert OwnScope(OwnProcess.VIEW, "/srv/two").unit == "insula-view-srv-two.scope"
    placing(Manager.NONE, view)(os.getpid())
    assert b"Machine view" in start_scope(view, 1).serialise(1)
    assert b"Keeper of" in start_scope(keeper, 1).serialise(1)


def test_a_scope_is_made_around_it_that_ends_after_the_daemon(systemd: FakeSystemd) -> None:
    systemd.put(4711)
    assert systemd.inside == {4711}
    assert systemd.asked == ["StartTransientUnit"]
    assert systemd.properties["Before"] == ["insulad.service"]


def test_the_next_joins_those_that_are_there(systemd: FakeSystemd) -> None:
    systemd.exists = True
    systemd.put(4711)
    assert systemd.asked == ["StartTransientUnit", "AttachProcessesToUnit"]
    assert systemd.inside == {4711}


def test_who_is_there_already_costs_systemd_nothing(systemd: FakeSystemd) -> None:
    systemd.inside = {4711}
    systemd.put(4711)
    assert systemd.asked == []


def test_a_scope_that_is_being_removed_is_waited_for(systemd: FakeSystemd) -> None:
    systemd.leaving = 3
    systemd.put(4711)
    assert systemd.inside == {4711}
    assert systemd.asked.count("StartTransientUnit") == 4


def test_without_the_help_of_systemd_it_stays_where_it_is_and_that_is_told(
    systemd: FakeSystemd, caplog: pytest.LogCaptureFixture
) -> None:
    systemd.broken = True
    with caplog.at_level(logging.WARNING):
        systemd.put(4711)
    assert "process 4711 is not put into insula-keeper.scope" in caplog.text


def test_a_systemd_that_never_does_it_is_not_waited_for_for_ever(
    systemd: FakeSystemd, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ownscopes, "_PATIENCE", 0.05)
    systemd.leaving = 1_000_000
    systemd.put(4711)
    assert "has not done it" in caplog.text
