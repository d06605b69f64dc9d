"""insulad and the keeper killed at random moments under a stream of operations: nothing lost, nothing leaked."""

import contextlib
import os
import random
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.e2e.guests import Terminal, domain_id, domain_xml, insula, state, wait_state
from tests.insulad import Insulad
from tests.waiting import scaled, until

pytestmark = pytest.mark.requires("virsh")

ROUNDS = 8
DOMAINS = 3


def _guest_pid(insulad: Insulad, name: str) -> int:
    pid = domain_id(insulad, name)
    assert pid is not None
    return pid


def _alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_guests_consoles_and_exit_statuses_outlive_insulad(insulad: Insulad, busybox_root: Path) -> None:
    insulad.define(domain_xml("stays", busybox_root))
    insulad.virsh("start", "stays")
    pid = _guest_pid(insulad, "stays")
    insulad.kill()
    assert _alive(pid)
    subprocess.run(["nsenter", "-t", str(pid), "-m", "sh", "-c", "echo while away > /dev/console"], check=True)
    insulad.start()
    assert _guest_pid(insulad, "stays") == pid and state(insulad, "stays") == "running"
    until(lambda: "while away" in insula(insulad, "log", "stays").stdout, "the console's words while insulad was away")
    insulad.kill()
    os.kill(pid, signal.SIGKILL)
    until(lambda: not _alive(pid), "the guest's end")
    insulad.start()
    until(lambda: state(insulad, "stays", reason=True) == "shut off (crashed)", "its end being taken over")


def test_guests_outlive_the_keeper_and_their_console_goes_on(insulad: Insulad, busybox_root: Path) -> None:
    insulad.define(domain_xml("stays", busybox_root))
    insulad.virsh("start", "stays")
    pid = _guest_pid(insulad, "stays")
    keeper = insulad.keeper_pid()
    assert keeper is not None
    os.kill(keeper, signal.SIGKILL)
    until(lambda: insulad.keeper_pid() not in (None, keeper), "a new keeper")
    assert _alive(pid) and state(insulad, "stays") == "running"
    assert insula(insulad, "exec", "stays", "--", "echo", "inside").stdout == "inside\n"
    terminal = Terminal("virsh", "-c", insulad.uri, "console", "stays")
    try:
        terminal.expect("Connected")
        terminal.type("\r")
        terminal.expect("login: ")
    finally:
        terminal.close()
    insulad.virsh("destroy", "stays")
    assert state(insulad, "stays", reason=True) == "shut off (destroyed)"


def test_a_guest_that_ends_after_its_keeper_died_is_told_right(insulad: Insulad, busybox_root: Path) -> None:
    insulad.define(domain_xml("ends", busybox_root))
    insulad.virsh("start", "ends")
    keeper = insulad.keeper_pid()
    assert keeper is not None
    os.kill(keeper, signal.SIGKILL)
    until(lambda: insulad.keeper_pid() not in (None, keeper), "a new keeper")
    insulad.virsh("shutdown", "ends")
    wait_state(insulad, "ends", "shut off")
    assert state(insulad, "ends", reason=True) == "shut off (shutdown)"


def test_a_guest_whose_keeper_died_reboots_when_it_is_asked_to(insulad: Insulad, busybox_root: Path) -> None:
    insulad.define(domain_xml("again", busybox_root))
    insulad.virsh("start", "again")
    before = _guest_pid(insulad, "again")
    keeper = insulad.keeper_pid()
    assert keeper is not None
    os.kill(keeper, signal.SIGKILL)
    until(lambda: insulad.keeper_pid() not in (None, keeper), "a new keeper")
    insulad.virsh("reboot", "again")
    until(lambda: domain_id(insulad, "again") not in (None, before), "a new id after the reboot", 20)
    wait_state(insulad, "again", "running")


@pytest.mark.machine("endings")
def test_both_killed_and_the_guests_live_on(insulad: Insulad, busybox_root: Path) -> None:
    insulad.define(domain_xml("stays", busybox_root))
    insulad.virsh("start", "stays")
    pid = _guest_pid(insulad, "stays")
    keeper = insulad.keeper_pid()
    assert keeper is not None
    insulad.kill()
    os.kill(keeper, signal.SIGKILL)
    insulad.start()
    assert _guest_pid(insulad, "stays") == pid and state(insulad, "stays") == "running"
    assert insula(insulad, "exec", "stays", "--", "echo", "inside").stdout == "inside\n"
    terminal = Terminal("virsh", "-c", insulad.uri, "console", "stays")
    try:
        terminal.expect("were lost when insulad and its keeper were killed together")
    finally:
        terminal.close()


def _stream_of_operations(insulad: Insulad, names: list[str], stop: threading.Event, seed: int) -> None:
    """Commands at random, some of which must fail while daemon or keeper are away: only the state after counts."""
    chance = random.Random(seed)
    verbs = ("start", "destroy", "suspend", "resume", "dominfo", "domstats", "shutdown", "setmem", "reset")
    while not stop.is_set():
        verb, name = chance.choice(verbs), chance.choice(names)
        words = (verb, name, "64M", "--live") if verb == "setmem" else (verb, name)
        with contextlib.suppress(subprocess.TimeoutExpired):
            insulad.virsh(*words, check=False, seconds=10)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("victim", ["insulad", "keeper", "both"])
def test_killed_at_random_moments_nothing_is_lost(insulad: Insulad, busybox_root: Path, victim: str) -> None:
    """The leak check of the suite looks for what is left behind."""
    names = [f"d{number}" for number in range(DOMAINS)]
    for name in names:
        root = insulad.prefix.parent / f"root-{name}"
        subprocess.run(["cp", "-a", str(busybox_root), str(root)], check=True)
        insulad.define(domain_xml(name, root, memory=64))
    chance = random.Random(victim)
    stop = threading.Event()
    workers = [
        threading.Thread(target=_stream_of_operations, args=(insulad, names, stop, number)) for number in range(2)
    ]
    for worker in workers:
        worker.start()
    try:
        for _ in range(ROUNDS):
            time.sleep(scaled(chance.uniform(0.05, 0.6)))
            keeper = insulad.keeper_pid()
            if victim != "keeper":
                insulad.kill()
            if victim != "insulad" and keeper is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(keeper, signal.SIGKILL)
            if victim != "keeper":
                insulad.start()
    finally:
        stop.set()
        for worker in workers:
            worker.join()
    assert sorted(insulad.virsh("list", "--all", "--name").stdout.split()) == names, "every definition is still there"
    for name in names:
        insulad.virsh("destroy", name, check=False)
        assert state(insulad, name) == "shut off"
        insulad.virsh("start", name)
        assert state(insulad, name) == "running"
        assert insula(insulad, "exec", name, "--", "echo", "well").stdout == "well\n"
        insulad.virsh("destroy", name)
