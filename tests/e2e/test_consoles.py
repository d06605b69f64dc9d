"""Consoles as people use them: at a terminal, one at a time, forced, late, closed in bad ways."""

from pathlib import Path

import pytest

from tests.e2e.guests import Terminal, domain_xml, state, until_booted, virsh_console
from tests.insulad import Insulad
from tests.waiting import until

pytestmark = pytest.mark.requires("virsh", "overlay.idmapped")


@pytest.fixture
def guest(insulad: Insulad, busybox_root: Path) -> str:
    insulad.define(domain_xml("bb", busybox_root))
    insulad.virsh("start", "bb")
    return "bb"


def _log_in(console: Terminal) -> None:
    console.type("\r")
    console.expect("login: ")
    console.type("root\r")
    console.expect("# ")


def test_a_person_logs_in_works_and_leaves(insulad: Insulad, guest: str) -> None:
    with virsh_console(insulad, guest) as console:
        _log_in(console)
        console.type("echo $((6*7))\r")
        console.expect("42")
        assert console.leave() == 0
    assert state(insulad, guest) == "running"


def test_who_comes_later_sees_what_was_printed_before(insulad: Insulad, guest: str) -> None:
    until_booted(insulad, guest)
    with virsh_console(insulad, guest) as console:
        console.expect("login: ")  # nothing was typed, so nobody prints it again


def test_a_second_person_is_refused_and_may_force(insulad: Insulad, guest: str) -> None:
    with virsh_console(insulad, guest) as first:
        _log_in(first)
        refused = Terminal("virsh", "-c", insulad.uri, "console", guest)
        try:
            refused.expect("active session exists for .*: end it, or take it over with force")
            assert refused.end() != 0
        finally:
            refused.close()
        with virsh_console(insulad, guest, "--force") as second:
            first.end()
            second.type("echo still $((40+2))\r")
            second.expect("still 42")


def test_safe_is_accepted_because_it_always_is(insulad: Insulad, guest: str) -> None:
    with virsh_console(insulad, guest, "--safe") as console:
        _log_in(console)


@pytest.mark.parametrize("way", ["killed", "hung up"])
def test_a_terminal_that_vanishes_hurts_nobody(insulad: Insulad, guest: str, way: str) -> None:
    with virsh_console(insulad, guest) as console:
        _log_in(console)
        if way == "killed":
            console.process.kill()
            console.process.wait()
        else:
            console.hang_up()
    assert state(insulad, guest) == "running"
    with virsh_console(insulad, guest) as console:
        console.type("echo again\r")
        console.expect("again")


def test_the_console_says_when_the_guest_ends(insulad: Insulad, guest: str) -> None:
    with virsh_console(insulad, guest) as console:
        _log_in(console)
        insulad.virsh("destroy", guest)
        console.end()
    assert state(insulad, guest) == "shut off"


def test_a_domain_that_is_off_has_no_console_yet(insulad: Insulad, busybox_root: Path) -> None:
    insulad.define(domain_xml("off", busybox_root))
    refused = insulad.virsh("console", "off", check=False)
    assert refused.returncode != 0 and "not running" in refused.stderr.lower()


def test_what_the_guest_printed_before_the_daemon_was_killed_is_still_shown(insulad: Insulad, guest: str) -> None:
    with virsh_console(insulad, guest) as console:
        _log_in(console)
        console.type("echo remember $((500+55))\r")
        console.expect("remember 555")
        insulad.kill()
        console.expect("Disconnected")
    insulad.start()
    with virsh_console(insulad, guest) as console:
        console.expect("remember 555")
        console.type("echo and on\r")
        console.expect("and on")


def test_events_are_shown_by_virsh(insulad: Insulad, busybox_root: Path) -> None:
    insulad.define(domain_xml("bb", busybox_root))
    terminal = Terminal("virsh", "-c", insulad.uri, "event", "--all", "--loop", "--timestamp")
    try:
        until(lambda: "connected" in insulad.log_text() or terminal.process.poll() is None, "virsh")
        started = False

        def heard() -> bool:
            nonlocal started
            insulad.virsh("start", "bb") if not started else insulad.virsh("destroy", "bb")
            started = not started
            try:
                terminal.expect("event 'lifecycle' for domain 'bb': (Started Booted|Stopped Destroyed)", 1)
            except AssertionError:
                return False
            return True

        until(heard, "an event on virsh's screen", 20)
    finally:
        terminal.close()
