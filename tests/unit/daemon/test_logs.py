"""The log: one line an event, with the priorities journald reads."""

import logging
import os
import pty
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from insula.daemon.logs import keeper_log, start_logging


@pytest.fixture(autouse=True)
def root_logger_restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def journal(stream: TextIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a stream be the journal's, as the service manager tells."""
    found = os.fstat(stream.fileno())
    monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")


def test_in_the_journal_each_event_is_one_line_with_its_priority(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log"
    with path.open("w") as stream:
        journal(stream, monkeypatch)
        start_logging("info", stream)
        logging.getLogger("insula.test").info("hello")
        logging.getLogger("insula.test").debug("too quiet")
        try:
            raise ValueError("first\nsecond")
        except ValueError:
            logging.getLogger("insula.test").exception("it failed")
    lines = path.read_text().splitlines()
    assert lines[0] == "<6>insula.test: hello"
    assert lines[1].startswith("<3>insula.test: it failed | Traceback") and lines[1].endswith("first | second")
    assert len(lines) == 2


def test_a_file_gets_the_time_and_no_priority_also_where_the_journal_is_somewhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "log").open("w") as stream, (tmp_path / "journal").open("w") as other:
        journal(other, monkeypatch)
        start_logging("info", stream)
        _log("hello")
    line = (tmp_path / "log").read_text()
    assert line[:2] == "20" and line.endswith("INFO insula.test: hello\n")


def test_a_terminal_gets_the_time_and_no_priority() -> None:
    master, slave = pty.openpty()
    with open(slave, "w") as stream:
        start_logging("warning", stream)
        logging.getLogger("insula.test").warning("careful")
        line = os.read(master, 1000).decode()
    os.close(master)
    assert "WARNING insula.test: careful" in line and line[:2] == "20"


def _log(text: str) -> None:
    logging.getLogger("insula.test").info(text)


def test_a_reader_that_stands_still_holds_nobody_and_is_told_later_what_is_missing() -> None:
    reader, writer = os.pipe()
    with open(writer, "w") as stream, open(reader, "rb", buffering=0) as log:
        start_logging("info", stream)
        for _ in range(200):
            _log("x" * 1000)
        taken = log.read(1 << 20)
        assert taken.endswith(b"x\n") and len(taken) < 200_000
        _log("it reads again")
        lines = log.read(1 << 20).splitlines()
        assert lines[-2].endswith(b"lines of the log could not be written")
        assert lines[-1].endswith(b"INFO insula.test: it reads again")


def test_a_full_disk_behind_the_log_is_nobodys_failure(capsys: pytest.CaptureFixture[str]) -> None:
    with open("/dev/full", "w") as stream:
        start_logging("info", stream)
        _log("nobody reads this")
    assert capsys.readouterr().err == ""


def test_without_standard_error_there_is_no_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", None)
    start_logging("info")
    _log("nobody reads this")
    assert logging.getLogger().handlers


def test_a_keeper_without_a_place_for_its_log_starts_without(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = keeper_log(tmp_path / "keeper.log")
    assert log is not None
    os.close(log)
    assert keeper_log(tmp_path / "missing" / "keeper.log") is None
    assert "what the keeper says goes nowhere" in caplog.text
