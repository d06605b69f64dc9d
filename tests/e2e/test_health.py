"""Guests that are looked after: told, restarted, and given time by insulad, also by one that follows another."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.guests import Terminal, domain_xml, inside, insula, state
from tests.insulad import Insulad
from tests.waiting import until

pytestmark = pytest.mark.requires("virsh", "overlay.idmapped", "userns")


def health(insulad: Insulad, name: str) -> dict[str, Any]:
    told: dict[str, Any] | None = json.loads(insula(insulad, "info", "--json", name).stdout)["health"]
    return told or {"state": None}


def heard(insulad: Insulad, listener: Terminal) -> bool:
    """Whether the listener tells what happens by now."""
    insulad.virsh("suspend", "bb")
    insulad.virsh("resume", "bb")
    try:
        listener.expect("lifecycle.*Suspended", 1)
    except AssertionError:
        return False
    return True


def test_a_guest_that_answers_no_more_is_restarted_and_the_next_daemon_knows_when_it_was(
    insulad: Insulad, busybox_root: Path
) -> None:
    (busybox_root / "well").touch()
    check = "<insula:healthcheck command='test -e /well' interval='1' retries='2' action='restart'/>"
    insulad.define(domain_xml("bb", busybox_root, settings=check))
    insulad.virsh("start", "bb")
    until(lambda: health(insulad, "bb")["state"] == "healthy", "the guest being healthy", 60)
    assert insula(insulad, "ls", "--format", "{name} {ready} {health}").stdout.strip() == "bb ready healthy"

    listener = Terminal("virsh", "-c", insulad.uri, "event", "--all", "--loop")
    try:
        until(lambda: heard(insulad, listener), "an event on the listener's screen", 60)
        former = insulad.virsh("domid", "bb").stdout
        (busybox_root / "well").unlink()
        until(lambda: insulad.virsh("domid", "bb").stdout not in (former, "-\n", "\n"), "the guest being reset", 60)
        listener.expect("event 'watchdog' for domain '?bb'?: reset", 60)
    finally:
        listener.close()
    until(lambda: health(insulad, "bb")["state"] == "unhealthy", "the guest being unhealthy again", 60)
    told = health(insulad, "bb")
    assert told["restarts"] >= 1 and "exit status 1" in told["says"]
    insulad.kill()
    insulad.start()
    until(lambda: health(insulad, "bb")["state"] is not None, "the next daemon looking after it", 60)
    assert health(insulad, "bb")["restarts"] >= told["restarts"], "how often it was restarted is known"
    (busybox_root / "well").touch()
    until(lambda: health(insulad, "bb")["state"] == "healthy", "the guest being healthy again", 60)


def test_a_guest_whose_port_answers_no_more_is_destroyed_where_that_is_asked_for(
    insulad: Insulad, busybox_root: Path
) -> None:
    check = "<insula:healthcheck port='8080' interval='1' retries='2' action='destroy'/>"
    insulad.define(domain_xml("bb", busybox_root, settings="<insula:pids limit='100'/>"))
    insulad.virsh("start", "bb")
    inside(insulad, "bb", "httpd", "-p", "8080")
    # How a guest that runs is looked after can be changed.
    uri = "https://insula.dev/xmlns/domain/1"
    element = f"<insula:domain xmlns:insula='{uri}'>{check}</insula:domain>"
    insulad.virsh("metadata", "bb", "--uri", uri, "--key", "insula", "--live", "--set", element)
    until(lambda: health(insulad, "bb")["state"] == "healthy", "the guest being healthy", 60)
    inside(insulad, "bb", "killall", "httpd")
    until(lambda: state(insulad, "bb", reason=True) == "shut off (destroyed)", "the guest being destroyed", 60)


def test_a_try_of_a_daemon_that_was_killed_is_ended_by_the_next(insulad: Insulad, busybox_root: Path) -> None:
    slow = busybox_root / "bin/slow"
    seconds = 4_000_000 + os.getpid()  # another run beside this one has its own
    slow.write_text(f"#!/bin/sh\nsleep {seconds} &\nwait\n")
    slow.chmod(0o755)
    check = "<insula:healthcheck command='/bin/slow' interval='1' timeout='3600' action='none'/>"
    insulad.define(domain_xml("bb", busybox_root, settings=check))
    insulad.virsh("start", "bb")

    def left() -> list[str]:
        found = []
        for each in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                if each.read_bytes() == f"sleep\0{seconds}\0".encode():
                    found.append(each.parent.name)
        return found

    until(left, "a try in the guest", 60)
    former = set(left())
    insulad.kill()
    insulad.start()
    until(lambda: not former & set(left()), "the end of what nobody waits for", 60)
    until(left, "the next daemon's own try", 60)
    assert len(left()) == 1
    insulad.virsh("destroy", "bb")
