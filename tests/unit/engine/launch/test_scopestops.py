"""Who is told of scopes that systemd is to stop, by a systemd behind a bus of the test's own."""

import time
from collections.abc import Iterator

import pytest
from jeepney import DBusAddress, Message, new_signal

from insula.engine.launch.scopestops import OURS, ScopeStops
from tests.unit.engine.launch.fakebus import FakeBus, member, refused, returned
from tests.waiting import until

MANAGER = DBusAddress("/org/freedesktop/systemd1", interface="org.freedesktop.systemd1.Manager")
FIRST, SECOND = f"{OURS}01234567.scope", f"{OURS}89abcdef.scope"


class FakeSystemd:
    """jobs: unit and type of each, by its path; waiting: those that have not begun."""

    def __init__(self) -> None:
        self.jobs: dict[str, tuple[str, str]] = {}
        self.waiting: set[str] = set()
        self.bus = FakeBus(self.answer)
        self.told: list[str] = []

    def answer(self, message: Message) -> Message | None:
        match member(message):
            case "ListJobs":
                rows = [(1, unit, kind, self.state(path), path, "/unit") for path, (unit, kind) in self.jobs.items()]
                return returned(message, "a(usssoo)", rows)
            case "GetAll":
                job = str(message.header.fields[1])
                if job not in self.jobs:
                    return refused(message, "org.freedesktop.DBus.Error.UnknownObject")
                unit, kind = self.jobs[job]
                properties = {
                    "Unit": ("(so)", (unit, "/unit")),
                    "JobType": ("s", kind),
                    "State": ("s", self.state(job)),
                }
                return returned(message, "a{sv}", properties)
        return returned(message)

    def state(self, job: str) -> str:
        return "waiting" if job in self.waiting else "running"

    def change(self, job: str) -> None:
        """Say that a job has changed."""
        address = DBusAddress(job, interface="org.freedesktop.DBus.Properties")
        body: tuple[object, ...] = ("org.freedesktop.systemd1.Job", {"State": ("s", self.state(job))}, [])
        self.bus.say(new_signal(address, "PropertiesChanged", "sa{sv}as", body).serialise(serial=96))

    def begin(self, job: str, unit: str, kind: str, named: str = "") -> None:
        """A job is queued; named: the unit that the signal names, if it lies."""
        self.jobs[job] = unit, kind
        self.bus.say(new_signal(MANAGER, "JobNew", "uos", (7, job, named or unit)).serialise(serial=99))

    def attended(self) -> None:
        until(lambda: "ListJobs" in self.bus.members(), "somebody listening")


@pytest.fixture
def systemd() -> Iterator[FakeSystemd]:
    made = FakeSystemd()
    yield made
    made.bus.close()


@pytest.fixture
def stops(systemd: FakeSystemd) -> Iterator[ScopeStops]:
    made = ScopeStops(systemd.told.append, systemd.bus.opened, pause=0.01)
    yield made
    made.close()


def test_stops_and_restarts_of_our_scopes_are_told_and_nothing_else(systemd: FakeSystemd, stops: ScopeStops) -> None:
    systemd.attended()
    systemd.begin("/job/1", "ssh.service", "stop")
    systemd.begin("/job/2", FIRST, "start")
    systemd.begin("/job/3", FIRST, "stop")
    systemd.begin("/job/4", SECOND, "restart")
    until(lambda: systemd.told == [FIRST, SECOND], "both being told")
    assert "Subscribe" in systemd.bus.members()


def test_what_began_before_is_told_too(systemd: FakeSystemd) -> None:
    systemd.jobs = {"/job/1": (FIRST, "stop"), "/job/2": (SECOND, "start"), "/job/3": ("a.service", "stop")}
    stops = ScopeStops(systemd.told.append, systemd.bus.opened)
    until(lambda: systemd.told == [FIRST], "the first being told")
    stops.close()


def test_a_stop_that_is_queued_is_told_when_its_turn_comes(systemd: FakeSystemd) -> None:
    """As at the host's shutdown, where all stops are queued at once and what ends guests in their order goes first."""
    systemd.jobs = {"/job/1": (FIRST, "stop")}
    systemd.waiting = {"/job/1", "/job/2"}
    stops = ScopeStops(systemd.told.append, systemd.bus.opened)
    systemd.attended()
    systemd.begin("/job/2", SECOND, "stop")
    systemd.change("/job/1")
    until(lambda: systemd.bus.members().count("GetAll") == 2, "both being looked at")
    assert systemd.told == []
    systemd.waiting.clear()
    systemd.change("/job/2")
    systemd.change("/job/3")
    systemd.change("/job/1")
    until(lambda: systemd.told == [SECOND, FIRST], "both being told, in their order")
    systemd.change("/job/1")
    stops.close()
    assert systemd.told == [SECOND, FIRST]


def test_a_signal_of_anybody_else_ends_nobody(systemd: FakeSystemd, stops: ScopeStops) -> None:
    systemd.attended()
    systemd.begin("/job/1", "ssh.service", "stop", named=FIRST)
    systemd.bus.say(new_signal(MANAGER, "JobNew", "uos", (7, "/no/such/job", FIRST)).serialise(serial=98))
    systemd.bus.say(new_signal(MANAGER, "JobNew", "s", (FIRST,)).serialise(serial=97))
    systemd.begin("/job/2", SECOND, "stop")
    until(lambda: bool(systemd.told), "the second being told")
    assert systemd.told == [SECOND]


@pytest.mark.parametrize("path", ["no path", "", "/a b", "//", "/job/", "/" + "a" * 4096])
def test_a_signal_that_names_no_possible_job_ends_nobodys_listening(
    systemd: FakeSystemd, stops: ScopeStops, path: str
) -> None:
    """Anybody may send one to a connection of the bus."""
    systemd.attended()
    systemd.bus.say(new_signal(MANAGER, "JobNew", "uss", (7, path, FIRST)).serialise(serial=98))
    systemd.begin("/job/2", SECOND, "stop")
    until(lambda: systemd.told == [SECOND], "the second being told")
    assert systemd.bus.members().count("ListJobs") == 1
    assert systemd.bus.members().count("GetAll") == 1


def test_a_call_that_was_refused_once_makes_nobody_ask_for_ever(systemd: FakeSystemd) -> None:
    """As by a systemd that executes itself anew: the end of that connection is none of the next one."""
    answer, refusals = systemd.bus.answer, ["Subscribe"]

    def refusing(message: Message) -> Message | None:
        if member(message) in refusals:
            refusals.clear()
            return refused(message, "org.freedesktop.DBus.Error.NoReply")
        return answer(message)

    systemd.bus.answer = refusing
    stops = ScopeStops(systemd.told.append, systemd.bus.opened, pause=0.01)
    systemd.attended()
    systemd.begin("/job/1", FIRST, "stop")
    until(lambda: FIRST in systemd.told, "the first being told")
    time.sleep(0.1)
    stops.close()
    assert systemd.bus.members().count("ListJobs") == 1


def test_a_failure_of_who_is_told_ends_nobodys_listening(
    systemd: FakeSystemd, caplog: pytest.LogCaptureFixture
) -> None:
    failures = iter([ZeroDivisionError()])

    def told(unit: str) -> None:
        for failure in failures:
            raise failure
        systemd.told.append(unit)

    systemd.jobs = {"/job/1": (FIRST, "stop")}
    stops = ScopeStops(told, systemd.bus.opened, pause=0.01)
    until(lambda: systemd.told == [FIRST], "the first being told again")
    stops.close()
    assert "ZeroDivisionError" in caplog.text


def test_a_bus_that_was_restarted_is_asked_again(systemd: FakeSystemd, stops: ScopeStops) -> None:
    systemd.attended()
    systemd.bus.restart()
    until(lambda: systemd.bus.members().count("ListJobs") == 2, "somebody listening again")
    systemd.begin("/job/1", FIRST, "stop")
    until(lambda: systemd.told == [FIRST], "the first being told")


def test_without_a_bus_it_is_asked_for_until_the_end() -> None:
    def none() -> None:
        raise FileNotFoundError(2, "No such file or directory")

    ScopeStops(lambda _: None, none, pause=0.001).close()  # type: ignore[arg-type]
