"""A guest's file system that does not answer holds no trace; a real one is in tests/e2e/test_hostile_guests.py."""

import os
import threading
from collections.abc import Iterator

import pytest

from insula.engine.explain import filesight, patientsight
from insula.engine.explain.patientsight import PatientSight
from tests.unit.engine.explain.traced import traced


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Hold whoever asks for a file's mount until the test says so."""
    event = threading.Event()
    usual = filesight._mount_id

    def hold(fdinfo: str) -> int:
        event.wait()
        return usual(fdinfo)

    monkeypatch.setattr(patientsight, "PATIENCE", 0.1)
    monkeypatch.setattr(filesight, "_mount_id", hold)
    yield event
    event.set()


def test_what_answers_in_time_is_seen() -> None:
    sight = PatientSight()
    assert sight.look(os.getpid(), "fchmod", (0, 0, 0, 0, 0, 0)).shown[0].startswith("0<")
    assert not sight.silent


def test_what_does_not_answer_is_waited_for_once(answer: threading.Event) -> None:
    directory = os.open("/", os.O_RDONLY)
    sight = PatientSight()
    held = sight.look(os.getpid(), "fchmod", (directory, 0, 0, 0, 0, 0))
    assert sight.silent and held.shown == {0: f"{directory}</>"} and held.files == []
    answer.set()
    later = sight.look(os.getpid(), "fchmod", (directory, 0, 0, 0, 0, 0))
    assert sight.silent and later.shown == {}
    os.close(directory)


def test_what_cannot_be_read_is_no_silence() -> None:
    sight = PatientSight()
    assert sight.look(os.getpid(), "openat", (0, 8, 0, 0, 0, 0)).files == []
    assert not sight.silent


@pytest.mark.usefixtures("answer")
def test_a_trace_goes_on_to_its_end_and_says_what_was_not_seen() -> None:
    trace = traced("/bin/sh", "-c", "echo word > /dev/full; echo word > /dev/full; exit 3")
    assert trace.silent and trace.status is not None and os.waitstatus_to_exitcode(trace.status) == 3
    assert [each.name for each in trace.calls if each.name == "write"] and not any(each.files for each in trace.calls)
