"""What a guest's processes have in memory is dumped by virsh, and read by somebody else's debugger."""

import json
import os
import signal
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.e2e.guests import domain_id, domain_xml, inside, insula, state
from tests.insulad import Insulad
from tests.waiting import patience, until

pytestmark = pytest.mark.requires("virsh", "overlay.idmapped")

PROGRAM = r"""
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
static volatile int marker = 4711;
static void *other(void *nothing) { for (;;) pause(); return nothing; }
static void innermost(int depth) { marker += depth; puts("it stands"); fflush(stdout); for (;;) pause(); }
static void middle(int depth) { innermost(depth + 1); }
int main(void) { pthread_t thread; pthread_create(&thread, 0, other, 0); middle(40); }
"""


@pytest.fixture
def guest(insulad: Insulad, busybox_root: Path) -> str:
    insulad.define(domain_xml("web", busybox_root))
    insulad.virsh("start", "web")
    return "web"


def refused(insulad: Insulad, *words: str) -> str:
    result = insulad.virsh(*words, check=False)
    assert result.returncode != 0, f"virsh {' '.join(words)} did not fail: {result.stdout}"
    return result.stderr.strip()


def processes(archive: Path) -> list[str]:
    """The programs of which there are cores."""
    with tarfile.open(archive) as opened:
        content = opened.extractfile("processes.json")
        assert content is not None
        return [str(each["program"]) for each in json.load(content)]


@pytest.mark.requires("compiler", "gdb")
@pytest.mark.parametrize("words", [(), ("--live",), ("--memory-only", "--bypass-cache")], ids=" ".join)
def test_a_debugger_finds_all_threads_where_they_were_and_what_they_remember(
    insulad: Insulad, busybox_root: Path, scratch: Path, words: tuple[str, ...]
) -> None:
    source, program = scratch / "known.c", busybox_root / "bin/known"
    source.write_text(PROGRAM)
    subprocess.run(["gcc", "-g", "-O0", "-static", "-pthread", "-o", str(program), str(source)], check=True)
    insulad.define(domain_xml("web", busybox_root, init="/bin/known"))
    insulad.virsh("start", "web")
    log = insulad.layout.logs / "web.console0.log"
    until(lambda: log.exists() and "it stands" in log.read_text(), "the program's word")

    archive = scratch / "web.dump"
    insulad.virsh("dump", "web", str(archive), *words)
    assert archive.stat().st_mode & 0o777 == 0o600 and processes(archive) == ["known"]
    subprocess.run(["tar", "-C", str(scratch), "-xf", str(archive)], check=True)
    asked = ["-ex", "thread apply all backtrace", "-ex", "print marker"]
    said = subprocess.run(
        ["gdb", "-batch", "-nx", *asked, str(program), str(scratch / "1-known.core")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "innermost (depth=41)" in said and "middle (depth=40)" in said and "other (nothing=0x0)" in said
    assert "$1 = 4752" in said
    assert state(insulad, "web") == "running"


def test_the_job_tells_its_end_and_the_guest_goes_on(insulad: Insulad, guest: str, scratch: Path) -> None:
    said = insulad.virsh("dump", guest, str(scratch / "web.dump"), "--verbose").stdout
    assert "Dump: [100" in said or "dumped to" in said
    assert "busybox" in processes(scratch / "web.dump") or "init" in processes(scratch / "web.dump")
    job = insulad.virsh("domjobinfo", guest, "--completed").stdout
    assert "Completed" in job and "Dump" in job and "Memory processed" in job
    assert "None" in insulad.virsh("domjobinfo", guest).stdout
    assert inside(insulad, guest, "echo", "alive") == "alive\n"


def test_a_paused_guest_is_dumped_and_stays_paused(insulad: Insulad, guest: str, scratch: Path) -> None:
    insulad.virsh("suspend", guest)
    insulad.virsh("dump", guest, str(scratch / "web.dump"))
    assert state(insulad, guest) == "paused" and processes(scratch / "web.dump")
    insulad.virsh("resume", guest)
    assert inside(insulad, guest, "echo", "alive") == "alive\n"


def test_a_dump_may_be_a_guests_crash_or_its_reset(insulad: Insulad, guest: str, scratch: Path) -> None:
    first = domain_id(insulad, guest)
    insulad.virsh("dump", guest, str(scratch / "web.dump"), "--reset")
    assert domain_id(insulad, guest) not in (None, first) and state(insulad, guest) == "running"
    insula(insulad, "dump", "--crash", guest, str(scratch / "web.dump"))
    assert state(insulad, guest, reason=True) == "shut off (crashed)"
    assert "domain is not running" in refused(insulad, "dump", guest, str(scratch / "web.dump"))


def test_what_cannot_be_is_refused_and_leaves_nothing(insulad: Insulad, guest: str, scratch: Path) -> None:
    assert "No such file or directory" in refused(insulad, "dump", guest, str(scratch / "nowhere" / "web.dump"))
    assert "something else than a regular file" in refused(insulad, "dump", guest, str(scratch))
    assert "archive of ELF cores" in refused(
        insulad, "dump", guest, str(scratch / "web.dump"), "--memory-only", "--format", "kdump-zlib"
    )
    assert not [each for each in os.listdir(scratch) if each.startswith("web.dump")]


def test_a_dump_that_is_given_up_leaves_no_file_and_a_guest_that_goes_on(
    insulad: Insulad, guest: str, scratch: Path
) -> None:
    insulad.virsh("guestinfo", guest, "--os")  # the looker is there from now on
    looker = _looker(insulad)
    os.kill(looker, signal.SIGSTOP)
    try:
        dumping = insulad.host.start("virsh", "-c", insulad.uri, "dump", guest, str(scratch / "web.dump"))
        until(lambda: "Dump" in insulad.virsh("domjobinfo", guest).stdout, "the job")
        insulad.virsh("domjobabort", guest)
        assert dumping.wait(patience(60)) != 0
    finally:
        os.kill(looker, signal.SIGCONT)
    until(lambda: not [each for each in os.listdir(scratch) if each.startswith("web.dump")], "no file")
    assert "Cancelled" in insulad.virsh("domjobinfo", guest, "--completed").stdout
    assert inside(insulad, guest, "echo", "alive") == "alive\n"


def _looker(insulad: Insulad) -> int:
    """The daemon's child that looks into guests."""
    assert insulad.process is not None
    threads = Path(f"/proc/{insulad.process.pid}/task").iterdir()
    children = [each for thread in threads for each in (thread / "children").read_text().split()]
    (found,) = (int(each) for each in children if Path(f"/proc/{each}/comm").read_text() == "insula-looker\n")
    return found


def test_a_guest_that_reboots_as_it_is_dumped_is_not_killed_for_its_dump(
    insulad: Insulad, guest: str, scratch: Path
) -> None:
    insulad.virsh("guestinfo", guest, "--os")
    looker, first = _looker(insulad), domain_id(insulad, guest)
    os.kill(looker, signal.SIGSTOP)
    try:
        dumping = insulad.host.start("virsh", "-c", insulad.uri, "dump", guest, str(scratch / "web.dump"), "--crash")
        until(lambda: "Dump" in insulad.virsh("domjobinfo", guest).stdout, "the job")
        inside(insulad, guest, "reboot", "-f", check=False)  # it may end with the guest
        until(lambda: domain_id(insulad, guest) not in (None, first), "its reboot")
    finally:
        os.kill(looker, signal.SIGCONT)
    assert dumping.wait(patience(60)) != 0
    assert state(insulad, guest) == "running" and not (scratch / "web.dump").exists()
    assert inside(insulad, guest, "echo", "alive") == "alive\n"
