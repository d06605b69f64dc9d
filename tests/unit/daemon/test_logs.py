"""The log: one line an event, with the priorities journald reads."""

import logging
import os
import pty
from collections.abc import Iterator
from pathlib import Path

import pytest

from insula.daemon.logs import start_logging


@pytest.fixture(autouse=True)
def root_logger_restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_each_event_is_one_line_with_its_priority(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("w") as stream:
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


def test_a_terminal_gets_the_time_and_no_priority() -> None:
    master, slave = pty.openpty()
    with open(slave, "w") as stream:
        start_logging("warning", stream)
        logging.getLogger("insula.test").warning("careful")
        line = os.read(master, 1000).decode()
    os.close(master)
    assert "WARNING insula.test: careful" in line and line[:2] == "20"
