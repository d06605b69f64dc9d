"""`insula top` at a terminal, as a person uses it: live, with keys, and the terminal as it was afterwards."""

import json
import os
import signal
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from insula.cli.terminal import resize
from tests.e2e.guests import Terminal, domain_xml, insula
from tests.insulad import Insulad
from tests.waiting import until

pytestmark = pytest.mark.requires("virsh", "overlay.idmapped", "userns")

ENTERED, LEFT = r"\x1b\[\?1049h", r"\x1b\[\?1049l"


@pytest.fixture
def guest(insulad: Insulad, busybox_root: Path) -> str:
    insulad.define(domain_xml("web", busybox_root))
    insulad.virsh("start", "web")
    return "web"


@pytest.fixture
def top(insulad: Insulad, guest: str) -> Iterator[Terminal]:
    command = (sys.executable, "-m", "insula.cli.main", "--prefix", str(insulad.prefix), "top", "--delay", "0.2")
    terminal = Terminal(*command)
    resize(terminal._master, 24, 130)
    terminal.expect(ENTERED, 60)
    yield terminal
    terminal.close()


def settings(terminal: Terminal) -> list[Any]:
    return termios.tcgetattr(terminal._master)[:4]


def canonical(terminal: Terminal) -> bool:
    """Whether the terminal takes lines and echoes, as a shell has it."""
    return bool(settings(terminal)[3] & termios.ICANON and settings(terminal)[3] & termios.ECHO)


def test_it_shows_guests_that_come_and_go_and_keys_change_it(
    insulad: Insulad, top: Terminal, busybox_root: Path
) -> None:
    top.expect(r"1 guests(?s:.)*CPU\*(?s:.)*web", 60)
    assert not canonical(top)
    top.type("m")
    top.expect(r"MEMORY\*", 60)
    insulad.define(domain_xml("later", busybox_root))
    insulad.virsh("start", "later")
    top.expect(r"2 guests(?s:.)*later", 60)
    insulad.virsh("destroy", "later")
    top.expect("1 guests", 60)
    resize(top._master, 24, 60)
    os.kill(top.process.pid, signal.SIGWINCH)
    top.expect("q quit  c m i n p t sort  a by name  r reverse  space pause\\x1b", 60)
    top.type("q")
    top.expect(LEFT, 60)
    assert top.end() == 0 and canonical(top)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_and_the_terminal_is_as_it_was(top: Terminal, number: signal.Signals) -> None:
    top.expect("web", 60)
    os.kill(top.process.pid, number)
    top.expect(LEFT, 60)
    assert top.end() == -number and canonical(top)


def test_a_daemon_that_ends_ends_it_with_an_error_on_a_terminal_as_it_was(insulad: Insulad, top: Terminal) -> None:
    top.expect("web", 60)
    insulad.kill()
    top.expect(LEFT, 60)
    top.expect("insula: ", 60)
    assert top.end() != 0 and canonical(top)
    insulad.start()


def test_a_terminal_that_vanishes_ends_it(top: Terminal) -> None:
    top.expect("web", 60)
    top.hang_up()
    assert top.process.returncode == -signal.SIGHUP


def test_scripts_have_it_once_as_json(insulad: Insulad, guest: str) -> None:
    (row,) = json.loads(insula(insulad, "top", "--once", "--json").stdout)
    assert row["name"] == guest and row["memory"] > 0 and row["tasks"] >= 1
    until(lambda: json.loads(insula(insulad, "top", "--once", "--json").stdout)[0]["cpu_time"] > 0, "time of it", 30)
