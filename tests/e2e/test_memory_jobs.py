"""Memory that is taken from running guests, and guests that have too little, as clients see both."""

import json
import re
from pathlib import Path

import pytest

from tests.e2e.guests import Terminal, domain_xml, inside, insula, state
from tests.insulad import Insulad
from tests.waiting import until

pytestmark = [pytest.mark.requires("virsh"), pytest.mark.machine("cgroups")]

SLEEPERS = "for i in $(seq 200); do sleep 1000 </dev/null >/dev/null 2>&1 & done"
"""Programs for which the kernel keeps more than they hold themselves, and which nobody can take from them."""


@pytest.fixture
def guest(insulad: Insulad, busybox_root: Path) -> str:
    insulad.define(domain_xml("mem", busybox_root, memory=128))
    insulad.virsh("start", "mem")
    return "mem"


def figure(insulad: Insulad, name: str, what: str) -> int:
    found = re.search(rf"^{what}\s+(\d+)", insulad.virsh("dommemstat", name).stdout, re.MULTILINE)
    assert found is not None
    return int(found[1])


def hard_limit(insulad: Insulad, name: str) -> int:
    found = re.search(r"hard_limit\s*: (\d+)", insulad.virsh("memtune", name).stdout)
    assert found is not None
    return int(found[1])


def facts(insulad: Insulad, name: str) -> dict[str, object]:
    told: dict[str, object] = json.loads(insula(insulad, "info", name, "--json").stdout)
    return told


def stuck(insulad: Insulad, name: str) -> int:
    """Fill the guest with what nobody can take from it; return a size (KiB) below that which was accepted."""
    inside(insulad, name, "sh", "-c", SLEEPERS)
    refusal = insulad.virsh("setmem", name, "4M", "--live", check=False)
    held = re.search(
        r"holds (\d+) KiB that can be neither dropped nor swapped out .*its programs \d+ KiB", refusal.stderr
    )
    assert refusal.returncode == 1 and held is not None, refusal.stderr
    size = int(held[1]) + 3072
    insulad.virsh("setmem", name, f"{size}", "--live")  # which is accepted, and goes on
    assert "Unbounded" in job(insulad, name) or "Bounded" in job(insulad, name)
    return size


def job(insulad: Insulad, name: str, *words: str) -> str:
    return insulad.virsh("domjobinfo", name, *words).stdout.splitlines()[0]


def test_a_guest_drops_its_caches_for_a_lower_memory_and_the_job_is_told(insulad: Insulad, guest: str) -> None:
    inside(insulad, guest, "dd", "if=/dev/zero", "of=/root/large", "bs=1M", "count=60")
    assert figure(insulad, guest, "rss") > 40 << 10
    insulad.virsh("setmem", guest, "24M", "--live", "--config")

    until(lambda: "None" in job(insulad, guest), "the end of the job", 60)  # which may outlast the call
    assert figure(insulad, guest, "rss") <= 24 << 10
    assert figure(insulad, guest, "actual") == hard_limit(insulad, guest) == 24 << 10
    assert "Completed" in job(insulad, guest, "--completed")
    assert facts(insulad, guest)["run"]["oom_kills"] == 0  # type: ignore[index]
    insulad.virsh("setmem", guest, "128M", "--live")
    assert hard_limit(insulad, guest) == 128 << 10


@pytest.mark.timeout(120)
def test_what_a_guest_cannot_give_is_tried_as_a_job_that_can_be_aborted(insulad: Insulad, guest: str) -> None:
    size = stuck(insulad, guest)
    assert figure(insulad, guest, "actual") > size
    assert "set memory: going on" in insula(insulad, "info", guest).stdout
    insulad.virsh("schedinfo", guest, "--live", "cpu_shares=512")
    insulad.virsh("suspend", guest)
    insulad.virsh("resume", guest)
    insulad.virsh("domjobabort", guest)

    until(lambda: hard_limit(insulad, guest) == 128 << 10, "the limit being as before")
    assert "None" in job(insulad, guest)
    assert facts(insulad, guest)["run"]["oom_kills"] == 0  # type: ignore[index]
    assert figure(insulad, guest, "actual") == 128 << 10


@pytest.mark.timeout(240)
def test_a_job_that_does_not_get_there_ends_by_itself_and_says_why(insulad: Insulad, guest: str) -> None:
    stuck(insulad, guest)
    until(lambda: "None" in job(insulad, guest), "the end of the job", 90)
    last = facts(insulad, guest)["last_job"]
    assert isinstance(last, dict)
    assert last["state"] == "failed" and "do not shrink to" in last["error"] and "the kernel for it" in last["error"]
    assert hard_limit(insulad, guest) == 128 << 10
    assert state(insulad, guest) == "running"


@pytest.mark.timeout(120)
def test_a_job_that_a_killed_insulad_left_is_undone_and_told(insulad: Insulad, guest: str) -> None:
    stuck(insulad, guest)
    insulad.kill()
    insulad.start()
    until(lambda: hard_limit(insulad, guest) == 128 << 10, "the limit being as before")
    last = facts(insulad, guest)["last_job"]
    assert isinstance(last, dict)
    assert (last["state"], last["error"].partition(";")[0]) == ("failed", "insulad ended meanwhile")
    assert figure(insulad, guest, "actual") == 128 << 10
    assert state(insulad, guest) == "running"


def test_a_program_that_is_killed_for_want_of_memory_is_told_with_its_name(insulad: Insulad, guest: str) -> None:
    terminal = Terminal("virsh", "-c", insulad.uri, "event", guest, "--event", "memory-failure", "--loop")

    def heard() -> bool:
        inside(insulad, guest, "dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1", check=False)
        try:
            terminal.expect(r"event 'memory-failure' for domain '?mem'?:\s+recipient: guest\s+action: ignore", 2)
        except AssertionError:
            return False
        return True

    try:
        until(heard, "an event on virsh's screen", 20)
    finally:
        terminal.close()
    run = facts(insulad, guest)["run"]
    assert isinstance(run, dict)
    assert run["oom_kills"] >= 1
    assert {each["program"] for each in run["oom_victims"]} == {"dd"}
    assert "killed for want of memory: 'dd' (" in insulad.log_text()
    assert re.search(r"dd \(\d+\) at ", insula(insulad, "info", guest).stdout)
    assert state(insulad, guest) == "running"
