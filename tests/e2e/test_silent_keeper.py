"""A keeper that is stopped, or answers nothing any more: every verb ends, and guests go on."""

import ctypes
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.guests import domain_id, domain_xml, inside, insula, state, wait_state
from tests.insulad import Insulad
from tests.system_fixtures import busybox_copy
from tests.waiting import scaled, stop, until

pytestmark = [pytest.mark.requires("virsh", "busybox", "userns", "overlay.idmapped"), pytest.mark.timeout(300)]

_LIBC = ctypes.CDLL(None, use_errno=True)
_SEIZE, _INTERRUPT = 0x4206, 0x4207
"""Of ptrace(2). What is interrupted so goes on neither by SIGCONT nor by anything but its tracer."""
LIBVIRTS_PATIENCE = 15
"""Seconds after which libvirt's driver gives up on a guest that it kills."""


@pytest.fixture
def guest(insulad: Insulad, busybox_root: Path) -> str:
    insulad.define(domain_xml("guest", busybox_root))
    insulad.virsh("start", "guest")
    until(lambda: insula(insulad, "log", "guest").stdout, "words of the guest in its log")
    return "guest"


@pytest.fixture
def other(insulad: Insulad, scratch: Path) -> str:
    insulad.define(domain_xml("other", busybox_copy(scratch / "other")))
    return "other"


def keeper(insulad: Insulad) -> int:
    found = insulad.keeper_pid()
    assert found is not None
    return found


def await_another(insulad: Insulad, hung: int) -> None:
    until(lambda: insulad.keeper_pid() not in (None, hung), "another keeper")


def stop_keeper(insulad: Insulad) -> int:
    pid = keeper(insulad)
    stop(pid)
    return pid


@pytest.fixture
def hung(insulad: Insulad, guest: str) -> Iterator[int]:
    """A keeper, its pid, that will never do anything again."""
    pid = keeper(insulad)
    for request in (_SEIZE, _INTERRUPT):
        assert _LIBC.ptrace(request, pid, None, None) == 0, os.strerror(ctypes.get_errno())
    yield pid
    with suppress(ChildProcessError):
        os.waitpid(pid, 0x40000000)  # __WALL: a tracer is told of the end first


def test_destroy_ends_a_guest_whose_keeper_is_stopped(insulad: Insulad, guest: str) -> None:
    stop_keeper(insulad)
    begun = time.monotonic()
    insulad.virsh("destroy", guest, seconds=60)
    assert time.monotonic() - begun < scaled(LIBVIRTS_PATIENCE)
    assert state(insulad, guest, reason=True) == "shut off (destroyed)"


def test_a_keeper_that_was_stopped_goes_on_and_nothing_is_lost(insulad: Insulad, guest: str, other: str) -> None:
    pid = stop_keeper(insulad)
    insulad.virsh("start", other, seconds=60)
    assert inside(insulad, guest, "echo", "here") == "here\n"
    assert keeper(insulad) == pid
    insulad.virsh("shutdown", other)
    wait_state(insulad, other, "shut off")
    assert state(insulad, other, reason=True) == "shut off (shutdown)"


def test_an_exec_while_the_keeper_is_stopped_is_performed_later(insulad: Insulad, guest: str) -> None:
    stop_keeper(insulad)
    assert inside(insulad, guest, "echo", "here") == "here\n"


def test_destroy_ends_a_guest_whose_keeper_hangs_and_another_one_takes_over(
    insulad: Insulad, guest: str, hung: int, other: str
) -> None:
    begun = time.monotonic()
    insulad.virsh("destroy", guest, seconds=60)
    assert time.monotonic() - begun < scaled(2 * LIBVIRTS_PATIENCE)
    assert state(insulad, guest, reason=True) == "shut off (destroyed)"
    await_another(insulad, hung)
    insulad.virsh("start", other)
    insulad.virsh("start", guest)


def test_a_keeper_that_hangs_costs_one_start_and_no_guest(insulad: Insulad, guest: str, hung: int, other: str) -> None:
    number = domain_id(insulad, guest)
    failed = insulad.virsh("start", other, check=False, seconds=60)
    assert failed.returncode and "the keeper did not answer" in failed.stderr
    assert state(insulad, other) == "shut off"
    await_another(insulad, hung)
    insulad.virsh("start", other)
    assert domain_id(insulad, guest) == number
    assert inside(insulad, guest, "echo", "here") == "here\n"


def test_a_daemon_that_finds_a_hanging_keeper_replaces_it(insulad: Insulad, guest: str, hung: int) -> None:
    number = domain_id(insulad, guest)
    insulad.kill()
    insulad.start()
    insulad.virsh("list", seconds=90)
    await_another(insulad, hung)
    assert domain_id(insulad, guest) == number
    assert inside(insulad, guest, "echo", "here") == "here\n"
    assert insula(insulad, "log", guest).stdout


def test_what_is_asked_while_a_new_keeper_takes_over_waits(insulad: Insulad, guest: str, other: str) -> None:
    insulad.virsh("start", other)
    for _ in range(5):
        os.kill(keeper(insulad), signal.SIGKILL)
        assert inside(insulad, guest, "echo", "here") == "here\n"
        insulad.virsh("suspend", other)
        insulad.virsh("resume", other)


def test_a_guest_that_was_started_paused_begins_although_its_keeper_was_killed(insulad: Insulad, other: str) -> None:
    insulad.virsh("start", other, "--paused")
    os.kill(keeper(insulad), signal.SIGKILL)
    assert state(insulad, other) == "paused"
    insulad.virsh("resume", other)
    assert state(insulad, other) == "running"
    assert inside(insulad, other, "echo", "here") == "here\n"
