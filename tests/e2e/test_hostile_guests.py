"""Guests whose file systems never answer, and a keeper that does not: nobody else waits, and each can be ended."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from tests import silentfuse
from tests.e2e.guests import domain_id, domain_xml, inside, insula, state, wait_state
from tests.insulad import Insulad
from tests.system_fixtures import busybox_copy
from tests.waiting import until

pytestmark = [
    pytest.mark.requires("virsh", "busybox", "userns", "overlay.idmapped", "fs.fuse", "device.fuse"),
    pytest.mark.timeout(300),
]


FUSE = "<hostdev mode='capabilities' type='misc'><source><char>/dev/fuse</char></source></hostdev>"


def stuck_processes(insulad: Insulad) -> list[int]:
    """Return the keeper's descendants that wait in the kernel for a file system in user space, not for its requests."""
    stuck, unseen = [], [insulad.keeper_pid()]
    while unseen:
        pid = unseen.pop()
        with suppress(OSError):  # it ends while we look
            unseen += [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
            stack = Path(f"/proc/{pid}/stack").read_text()
            if pid is not None and "fuse" in stack and "fuse_dev" not in stack:
                stuck.append(pid)
    return stuck


PROGRAM = "#!/bin/sh\ntrap 'exit 0' TERM\nwhile :; do sleep 1; done\n"


def hostile(insulad: Insulad, name: str, root: Path) -> int:
    """Start a guest that covers /run, and whose init leads there; return its id."""
    init = root / "sbin/init"
    init.unlink()
    init.write_text(PROGRAM)
    init.chmod(0o755)
    insulad.define(domain_xml(name, root, extra=FUSE))
    insulad.virsh("start", name)
    number = domain_id(insulad, name)
    assert number is not None
    silentfuse.cover(number)
    init.unlink()
    init.symlink_to("/run/init")
    return number


@pytest.fixture
def guest(insulad: Insulad, busybox_root: Path) -> str:
    hostile(insulad, "hostile", busybox_root)
    return "hostile"


@pytest.mark.parametrize("words", [(), ("--mode", "initctl")], ids=["plain", "initctl"])
def test_a_shutdown_of_a_guest_whose_files_do_not_answer_says_so_and_destroy_ends_it(
    insulad: Insulad, guest: str, words: tuple[str, ...]
) -> None:
    asked = insulad.virsh("shutdown", guest, *words, check=False)
    assert asked.returncode != 0 and "does not answer" in asked.stderr
    insulad.virsh("destroy", guest)
    assert state(insulad, guest, reason=True) == "shut off (destroyed)"


def test_destroy_does_not_wait_for_a_shutdown_that_waits_for_the_guest(insulad: Insulad, guest: str) -> None:
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(insulad.virsh, "shutdown", guest, check=False)
        while insulad.virsh("domcontrol", guest).stdout.strip() == "ok":
            assert not asked.done()
        insulad.virsh("destroy", guest)
        assert "destroy of domain" in asked.result().stderr
    assert state(insulad, guest, reason=True) == "shut off (destroyed)"


def test_destroy_does_not_wait_for_a_suspend_that_something_unfreezable_holds_up(insulad: Insulad, guest: str) -> None:
    inside(insulad, guest, "sh", "-c", "cat /run/anything >/dev/null 2>&1 </dev/null &")
    (stuck,) = until(lambda: stuck_processes(insulad), "it waiting for the file system")
    os.kill(stuck, signal.SIGKILL)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(insulad.virsh, "suspend", guest, check=False)
        while insulad.virsh("domcontrol", guest).stdout.strip() == "ok":
            assert not asked.done()
        insulad.virsh("destroy", guest)
        assert "destroy of domain" in asked.result().stderr
    assert state(insulad, guest, reason=True) == "shut off (destroyed)"


def test_destroy_ends_a_program_that_is_only_being_executed(insulad: Insulad, guest: str) -> None:
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(insula, insulad, "exec", guest, "--", "/run/program", check=False)
        until(lambda: stuck_processes(insulad), "the program being looked for")
        insulad.virsh("destroy", guest)
        assert asked.result().returncode
    assert state(insulad, guest, reason=True) == "shut off (destroyed)"


def test_an_explanation_waits_for_no_file_system_of_the_guests(insulad: Insulad, guest: str) -> None:
    """pivot_root(2) is refused to who is not root before the kernel looks at its paths."""
    asked = insula(insulad, "explain", guest, "--user", "1000", "--", "pivot_root", "/run/a", "/run/b", check=False)
    assert 'pivot_root("/run/a", ' in asked.stdout
    assert "a file system of the guest's did not answer" in asked.stdout
    assert state(insulad, guest) == "running"
    insulad.virsh("destroy", guest)
    assert state(insulad, guest, reason=True) == "shut off (destroyed)"


def test_six_hostile_guests_take_nothing_from_a_quiet_one(insulad: Insulad, scratch: Path) -> None:
    names = [f"hostile{number}" for number in range(6)]
    for name in names:
        hostile(insulad, name, busybox_copy(scratch / name))
    quiet = domain_xml("quiet", busybox_copy(scratch / "quiet"))
    with ThreadPoolExecutor(6) as pool:
        asked = [pool.submit(insulad.virsh, "shutdown", name, check=False) for name in names]
        insulad.define(quiet)
        insulad.virsh("start", "quiet")
        insula(insulad, "log", "quiet")
        insulad.virsh("destroy", "quiet")
        insulad.virsh("undefine", "quiet")
        assert all(each.result().returncode for each in asked)
    for name in names:
        insulad.virsh("destroy", name)
        wait_state(insulad, name, "shut off")
