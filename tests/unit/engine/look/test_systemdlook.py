"""What a guest's systemd says, by a bus of the test's; real ones are in tests/e2e."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from insula.engine.look import systemdlook
from insula.engine.look.systemdlook import SESSIONS_MAX, UNITS_MAX, ask_systemd
from insula.engine.look.systemlook import TEXT_MAX
from insula.kernel.fds import Fd
from tests.unit.engine.look.fakebus import Answer, FakeBus
from tests.waiting import scaled

UNIT = ("a.service", "A", "loaded", "failed", "failed", "", "/u/a", 0, "", "/")
SESSION = ("c1", 0, "root", "", "/org/freedesktop/login1/session/c1")
HONEST: Mapping[str, Answer] = {
    "SystemState": ("s", "degraded"),
    "NFailedUnits": ("u", 2),
    "ListUnitsFiltered": ("a(ssssssouso)", ([("b.service", *UNIT[1:]), UNIT],)),
    "ListSessions": ("a(susso)", ([SESSION],)),
    "Class": ("s", "user-early"),
    "Timestamp": ("t", 5_000_000),
    "StaticHostname": ("s", "web"),
    "PrettyHostname": ("s", "The web"),
}


@pytest.fixture(autouse=True)
def visited(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    root = Fd(os.open(tmp_path, os.O_PATH | os.O_DIRECTORY))
    monkeypatch.setattr(systemdlook, "visit", lambda arguments, fds: root)
    yield
    os.close(root)


def told(tmp_path: Path, seconds: float = 20.0, **changed: Answer) -> dict[str, Any]:
    with FakeBus(tmp_path, {**HONEST, **changed}):
        return ask_systemd({"pid": os.getpid(), "seconds": scaled(seconds)}, {})


def test_all_is_told(tmp_path: Path) -> None:
    assert told(tmp_path) == {
        "state": "degraded",
        "failed": 2,
        "units": ["a.service", "b.service"],
        "users": {"root": 5},
        "static": "web",
        "pretty": "The web",
    }


def test_a_system_without_failed_units_is_not_asked_for_their_names(tmp_path: Path) -> None:
    with FakeBus(tmp_path, {**HONEST, "SystemState": ("s", "running"), "NFailedUnits": ("u", 0)}) as fake:
        said = ask_systemd({"pid": os.getpid(), "seconds": scaled(20)}, {})
    assert (said["state"], said["failed"], "units" in said) == ("running", 0, False)
    assert "ListUnitsFiltered" not in fake.asked


def test_who_is_not_there_is_left_out(tmp_path: Path) -> None:
    no = KeyError()
    said = told(tmp_path, ListSessions=no, StaticHostname=no, PrettyHostname=no, ListUnitsFiltered=no)
    assert said == {"state": "degraded", "failed": 2}
    (tmp_path / "run/dbus/system_bus_socket").unlink()
    assert told(tmp_path, SystemState=no) == {"users": {"root": 5}, "static": "web", "pretty": "The web"}


def test_a_state_that_there_is_not_is_not_told(tmp_path: Path) -> None:
    assert "state" not in told(tmp_path, SystemState=("s", "fine\x1b[2J"))


@pytest.mark.parametrize("wrong", [("as", ["running"]), ("u", 7), ("a{sv}", {})])
def test_wrong_types_end_the_asking_and_what_was_told_before_counts(tmp_path: Path, wrong: tuple[str, Any]) -> None:
    said = told(tmp_path, StaticHostname=wrong)
    assert said == {"state": "degraded", "failed": 2, "users": {"root": 5}}


def test_lists_and_texts_have_an_end(tmp_path: Path) -> None:
    many = [(f"{number}{'x' * 1000}", *UNIT[1:]) for number in range(100)]
    sessions = [("c", 0, f"u{number}", "", f"/org/freedesktop/login1/session/{number}") for number in range(200)]
    said = told(
        tmp_path,
        NFailedUnits=("u", 100),
        ListUnitsFiltered=("a(ssssssouso)", (many,)),
        ListSessions=("a(susso)", (sessions,)),
        StaticHostname=("s", "h" * 10_000),
    )
    assert (said["failed"], len(said["units"]), len(said["users"])) == (100, UNITS_MAX, SESSIONS_MAX)
    assert {len(each) for each in (*said["units"], said["static"])} == {TEXT_MAX}


def test_an_answer_without_end_is_none(tmp_path: Path) -> None:
    huge = [(f"{number}{'x' * 1000}", *UNIT[1:]) for number in range(1000)]
    said = told(tmp_path, ListUnitsFiltered=("a(ssssssouso)", (huge,)))
    assert said["failed"] == 2 and "units" not in said


def test_a_bus_that_falls_silent_costs_what_comes_after(tmp_path: Path) -> None:
    assert told(tmp_path, 0.5, ListSessions=lambda call: b"") == {"state": "degraded", "failed": 2}


def test_sessions_of_no_person_and_such_as_have_ended_are_none(tmp_path: Path) -> None:
    assert told(tmp_path, Class=("s", "greeter"))["users"] == {}
    (tmp_path / "run/dbus/system_bus_socket").unlink()
    assert told(tmp_path, Timestamp=KeyError())["users"] == {}
    (tmp_path / "run/dbus/system_bus_socket").unlink()
    elsewhere = (*SESSION[:4], "/org/freedesktop/login1/user/self")
    assert told(tmp_path, ListSessions=("a(susso)", ([elsewhere],)))["users"] == {}


def test_a_bus_that_lets_nobody_in_tells_nothing(tmp_path: Path) -> None:
    with FakeBus(tmp_path, HONEST, login=b"REJECTED\r\n"):
        assert ask_systemd({"pid": os.getpid(), "seconds": scaled(20)}, {}) == {}


def test_a_guest_without_a_bus_is_told_as_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        ask_systemd({"pid": os.getpid(), "seconds": 1.0}, {})
