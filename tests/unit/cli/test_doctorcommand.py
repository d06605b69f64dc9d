"""What the host lacks is told, the gravest first; without a daemon a program of ours finds it out."""

import argparse
import json
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from insula.cli import doctorcommand
from insula.cli.doctorcommand import doctor_lines, examined_alone
from insula.errors import NobodyListensError, OperationFailedError
from insula.sdk import connecting, startingdaemon
from tests.unit.cli.options import options_of

FINE = {"id": "a.fine", "gravity": "ok", "found": "there is a", "costs": "", "remedy": ""}
NOTE = {"id": "a.note", "gravity": "note", "found": "no b", "costs": "little", "remedy": "get b"}
WARNING = {**NOTE, "id": "a.warning", "gravity": "warning"}
ERROR = {**NOTE, "id": "a.error", "gravity": "error"}


def options(*words: str, prefix: str | None = None, address: str | None = None) -> argparse.Namespace:
    found = options_of(doctorcommand.ARGUMENTS["doctor"], *words)
    found.installation, found.address = prefix, address
    return found


def answering(monkeypatch: pytest.MonkeyPatch, *checks: dict[str, str]) -> None:
    class Host:
        def examine(self) -> dict[str, Any]:
            return {"daemon": True, "checks": list(checks)}

    @contextmanager
    def connect(where: object) -> Any:
        yield Host()

    monkeypatch.setattr(connecting, "connect", connect)


def test_the_gravest_comes_first_and_what_is_fine_is_counted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answering(monkeypatch, FINE, NOTE, ERROR, WARNING)
    assert doctorcommand.RUN_ALONE["doctor"](options()) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines if not line.startswith(" ")][:3] == ["a.error:", "a.warning:", "a.note:"]
    assert lines[-1] == "1 of 4 checks found what they should" and "a.fine" not in "".join(lines)


@pytest.mark.parametrize(
    ("checks", "words", "status"),
    [
        ((FINE, NOTE, WARNING), (), 0),
        ((FINE, WARNING), ("--strict",), 1),
        ((NOTE,), ("--strict",), 0),
        ((ERROR,), (), 1),
    ],
)
def test_the_exit_status_says_whether_something_is_wrong(
    monkeypatch: pytest.MonkeyPatch, checks: Any, words: tuple[str, ...], status: int
) -> None:
    answering(monkeypatch, *checks)
    assert doctorcommand.RUN_ALONE["doctor"](options("--json", *words, address="lxc:///system")) == status


def test_what_is_fine_is_told_if_wanted() -> None:
    assert next(doctor_lines([FINE], everything=True)) == "ok       a.fine: there is a"


@pytest.mark.parametrize(("locked", "id_"), [(False, "daemon.down"), (True, "daemon.silent")])
def test_without_a_daemon_the_host_is_examined_all_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], locked: bool, id_: str
) -> None:
    def connect(where: object) -> Any:
        raise NobodyListensError("no connection")

    monkeypatch.setattr(connecting, "connect", connect)
    monkeypatch.setattr(startingdaemon, "is_locked", lambda path: locked)
    doctorcommand.RUN_ALONE["doctor"](options("--json", prefix=str(tmp_path)))
    told = json.loads(capsys.readouterr().out)
    assert told["daemon"] is False and {id_, "room.run"} <= {each["id"] for each in told["checks"]}


def test_what_cannot_be_examined_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OperationFailedError, match="cannot be examined"):
        examined_alone("relative")
    monkeypatch.setattr("sys.executable", "/nonexistent/python")
    with pytest.raises(OperationFailedError, match="cannot be examined"):
        examined_alone(None)
