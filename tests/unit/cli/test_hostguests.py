"""Guests are shut down with the host: who was started last first, each in its time, whatever goes wrong with others."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from insula.cli import hostguests
from insula.cli.hostguests import HostShutdown, PassingTime, ShutdownSettings, remember, settings_of, start_again
from insula.errors import DomainNotFoundError, InsulaError, OperationFailedError
from insula.layout import Layout
from insula.model.domainstates import DomainState
from insula.sdk.values import Json


@dataclass
class FakeGuest:
    """A guest that shuts down so many seconds after it is asked; None: never. deaf: cannot be asked."""

    host: "FakeHost"
    name: str
    begun: int
    takes: float | None = 1.0
    deaf: bool = False
    restarts: bool = False
    transient: bool = False
    state: DomainState = DomainState.RUNNING
    id: int | None = 1
    asked: float | None = None

    def _turn(self) -> None:
        if self.asked is not None and self.takes is not None and self.host.now >= self.asked + self.takes:
            self.host.done.append(f"{self.name} off")
            self.asked, self.id = None, 2 if self.restarts else None

    def is_active(self) -> bool:
        self._turn()
        return self.id is not None

    def told(self) -> Json:
        return {
            "name": self.name, "uuid": self.name, "id": self.id, "state": int(self.state), "begun": self.begun,
            "persistent": not self.transient,
        }  # fmt: skip

    def resume(self) -> None:
        self.host.done.append(f"{self.name} resumed")
        self.state = DomainState.RUNNING

    def shutdown(self) -> None:
        if self.deaf:
            raise OperationFailedError("its init does not listen")
        self.host.done.append(f"{self.name} asked")
        self.asked = self.host.now

    def destroy(self) -> None:
        self.host.done.append(f"{self.name} killed")
        self.id, self.asked = None, None

    def start(self) -> None:
        self.host.done.append(f"{self.name} started")
        self.id = 3


@dataclass
class FakeHost:
    """A daemon with guests, in a time that passes by sleeping only."""

    now: float = 0.0
    done: list[str] = field(default_factory=list)
    guests: dict[str, FakeGuest] = field(default_factory=dict)
    order: list[list[str]] | InsulaError = field(default_factory=list)

    def has(self, guest: FakeGuest) -> FakeGuest:
        self.guests[guest.name] = guest
        return guest

    def overview(self, flags: int = 0) -> list[Json]:
        return [each.told() for each in self.guests.values() if each.is_active()]

    def stop_order(self) -> list[list[str]]:
        if isinstance(self.order, Exception):
            raise self.order
        return self.order

    def domain_by_uuid(self, uuid: str) -> FakeGuest:
        found = self.guests.get(uuid)
        if found is None or (found.transient and not found.is_active()):
            raise DomainNotFoundError(f"no domain {uuid}")
        return found

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def shut_down(self, settings: ShutdownSettings | None = None) -> tuple[bool, list[str]]:
        said: list[str] = []
        clock = PassingTime(now=lambda: self.now, sleep=self.sleep)
        over = HostShutdown(self, settings or ShutdownSettings(), said.append, clock).end_all()
        return over, said


@pytest.fixture
def host() -> FakeHost:
    return FakeHost()


def test_guests_are_shut_down_one_after_another_and_the_last_started_first(host: FakeHost) -> None:
    for name, begun in (("db", 10), ("web", 30), ("cache", 20)):
        host.has(FakeGuest(host, name, begun))
    over, said = host.shut_down()
    assert over
    assert host.done == ["web asked", "web off", "cache asked", "cache off", "db asked", "db off"]
    assert "db has shut down" in said


def test_who_is_depended_on_is_asked_once_those_that_need_it_have_ended(host: FakeHost) -> None:
    for name, begun in (("web", 10), ("db", 40), ("mail", 30), ("later", 20)):
        host.has(FakeGuest(host, name, begun))
    host.order = [["web", "mail"], ["db"]]
    over, _ = host.shut_down(ShutdownSettings(parallel=4))
    assert over
    assert host.done.index("db asked") > max(host.done.index("web off"), host.done.index("mail off"))
    assert set(host.done[-2:]) == {"later asked", "later off"}, "who has come meanwhile ends, too"


def test_an_order_that_is_not_known_keeps_no_guest_from_ending(host: FakeHost) -> None:
    host.has(FakeGuest(host, "web", 10))
    host.order = OperationFailedError("it is of another version")
    over, said = host.shut_down()
    assert over and host.done == ["web asked", "web off"]
    assert "in which order guests are to stop is not known: it is of another version" in said


def test_as_many_at_a_time_as_is_allowed(host: FakeHost) -> None:
    for begun in range(4):
        host.has(FakeGuest(host, f"g{begun}", begun, takes=10.0))
    host.shut_down(ShutdownSettings(parallel=2))
    assert host.done[:2] == ["g3 asked", "g2 asked"]
    assert host.done.index("g1 asked") > host.done.index("g3 off")
    assert 20 <= host.now < 25


def test_each_has_a_limit_of_its_own_and_is_killed_then(host: FakeHost) -> None:
    host.has(FakeGuest(host, "stuck", 2, takes=None))
    host.has(FakeGuest(host, "slow", 1, takes=50.0))
    over, said = host.shut_down(ShutdownSettings(timeout=60.0))
    assert over
    assert host.done == ["stuck asked", "stuck killed", "slow asked", "slow off"]
    assert any("stuck has not shut down within 60 seconds" in each for each in said)


def test_who_cannot_be_asked_is_killed_and_the_others_follow(host: FakeHost) -> None:
    host.has(FakeGuest(host, "deaf", 2, deaf=True))
    host.has(FakeGuest(host, "web", 1))
    assert host.shut_down()[0]
    assert host.done == ["deaf killed", "web asked", "web off"]


def test_a_paused_guest_goes_on_first(host: FakeHost) -> None:
    host.has(FakeGuest(host, "still", 1, state=DomainState.PAUSED))
    assert host.shut_down()[0]
    assert host.done == ["still resumed", "still asked", "still off"]


def test_a_guest_that_its_own_settings_start_again_is_killed(host: FakeHost) -> None:
    host.has(FakeGuest(host, "eager", 1, restarts=True))
    over, said = host.shut_down()
    assert over
    assert host.done == ["eager asked", "eager off", "eager killed"]
    assert any("started again" in each for each in said)


def test_a_transient_guest_is_gone_when_it_has_shut_down(host: FakeHost) -> None:
    host.has(FakeGuest(host, "passing", 1, transient=True))
    over, said = host.shut_down()
    assert over
    assert "passing has shut down" in said


def test_guests_are_killed_where_that_is_what_is_wanted(host: FakeHost) -> None:
    host.has(FakeGuest(host, "web", 1))
    assert host.shut_down(ShutdownSettings(on_shutdown="kill"))[0]
    assert host.done == ["web killed"]


def test_what_is_left_is_told_by_the_result(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = host.has(FakeGuest(host, "stuck", 1, takes=None))

    def refuse() -> None:
        raise OperationFailedError("the kernel waits for a disk in its name")

    monkeypatch.setattr(stuck, "destroy", refuse)
    over, said = host.shut_down()
    assert not over
    assert "stuck: the kernel waits for a disk in its name" in said


def test_who_ran_is_started_again_in_the_order_of_then(host: FakeHost, tmp_path: Path) -> None:
    for name, begun in (("web", 30), ("db", 10), ("passing", 20)):
        host.has(FakeGuest(host, name, begun, transient=name == "passing"))
    remember(tmp_path / "ran", host.overview())
    host.shut_down(ShutdownSettings(on_shutdown="kill"))
    del host.done[:]
    del host.guests["passing"]
    said: list[str] = []
    start_again(host, tmp_path / "ran", said.append)
    assert host.done == ["db started", "web started"]


def test_one_that_is_there_no_more_keeps_no_other_from_starting(host: FakeHost, tmp_path: Path) -> None:
    host.has(FakeGuest(host, "web", 1, id=None))
    (tmp_path / "ran").write_text("gone\nweb\n")
    said: list[str] = []
    start_again(host, tmp_path / "ran", said.append)
    assert host.done == ["web started"]
    assert "gone: no domain gone" in said


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, ShutdownSettings()),
        ({"ON_SHUTDOWN": "kill", "SHUTDOWN_TIMEOUT": "300"}, ShutdownSettings(on_shutdown="kill", timeout=300.0)),
        ({"PARALLEL_SHUTDOWN": "8", "ON_BOOT": "start"}, ShutdownSettings(parallel=8, on_boot="start")),
        ({"ON_SHUTDOWN": "", "SHUTDOWN_TIMEOUT": ""}, ShutdownSettings()),
    ],
)
def test_settings_come_by_the_environment(environment: Mapping[str, str], wanted: ShutdownSettings) -> None:
    said: list[str] = []
    assert settings_of(environment, said.append) == wanted
    assert said == []


@pytest.mark.parametrize("name", ["ON_SHUTDOWN", "SHUTDOWN_TIMEOUT", "PARALLEL_SHUTDOWN", "ON_BOOT"])
@pytest.mark.parametrize("value", ["suspend", "-1", "0", "²"])
def test_a_setting_without_a_meaning_is_told_and_keeps_guests_from_nothing(name: str, value: str) -> None:
    said: list[str] = []
    assert settings_of({name: value}, said.append) == ShutdownSettings()
    assert len(said) == 1
    assert said[0].startswith(f"{name}={value} is no")


def test_many_guests_are_waited_for_with_one_question_a_round(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(50):
        host.has(FakeGuest(host, f"web{number}", number, takes=2.0))
    asked, overview = [], host.overview

    def counted(flags: int = 0) -> list[Json]:
        asked.append(flags)
        return overview(flags)

    monkeypatch.setattr(host, "overview", counted)
    over, _ = host.shut_down(ShutdownSettings(parallel=50))
    assert over and len(asked) < 30


class _Connected:
    """A connection that gives a host, or fails. done: how often one was asked for."""

    def __init__(self, host: FakeHost, failures: int) -> None:
        self.host, self.failures, self.done = host, failures, 0

    def __call__(self, layout: object) -> "_Connected":
        self.done += 1
        return self

    def __enter__(self) -> FakeHost:
        if self.done <= self.failures:
            raise OperationFailedError("insulad has closed the connection")
        return self.host

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    layout = Layout.prefix(tmp_path)
    layout.state.mkdir(parents=True)
    monkeypatch.setattr(hostguests, "layout_from", lambda _: layout)
    monkeypatch.setattr(hostguests, "_AGAIN", 0.0)
    return layout.state / hostguests.REMEMBERED


def test_a_daemon_that_is_restarted_meanwhile_and_a_full_disk_keep_no_guest_running(
    host: FakeHost, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.has(FakeGuest(host, "web", 1, takes=0.0))
    connected, said = _Connected(host, failures=2), list[str]()
    monkeypatch.setattr(hostguests, "connect", connected)
    place.with_name(f"{place.name}.new").mkdir()  # what cannot be written
    assert hostguests.stop(ShutdownSettings(on_boot="start"), said.append) == 0
    assert host.done == ["web asked", "web off"] and connected.done == 3
    assert any("will not be started with the host" in each for each in said)


def test_who_ran_is_not_forgotten_by_a_boot_at_which_nobody_can_be_asked(
    host: FakeHost, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    web = host.has(FakeGuest(host, "web", 1, id=None))
    place.write_text("web\n")
    monkeypatch.setattr(hostguests, "connect", _Connected(host, failures=1))
    settings = ShutdownSettings(on_boot="start")
    with pytest.raises(OperationFailedError):
        hostguests.start(settings, print)
    assert place.read_text() == "web\n" and not web.is_active()
    monkeypatch.setattr(hostguests, "connect", _Connected(host, failures=0))
    assert hostguests.start(settings, print) == 0
    assert web.is_active() and not place.exists()
