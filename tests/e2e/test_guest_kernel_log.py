"""A guest's own kernel log, as its own programs and the host's administrator read it, through a real daemon."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.guests import copy_tree, domain_xml, inside, insula
from tests.insulad import Insulad
from tests.waiting import until

pytestmark = [pytest.mark.requires("virsh", "overlay.idmapped", "fs.fuse"), pytest.mark.machine("mounts", "cgroups")]

RELEASES = [pytest.param(each, marks=pytest.mark.requires(f"debian-{each}-image")) for each in ("12", "13")]
_VIEW = "<insula:view enabled='yes'/>"


@pytest.fixture
def guest(insulad: Insulad, busybox_root: Path, failed_test_logs: dict[str, Path]) -> str:
    failed_test_logs["the view"] = insulad.layout.logs / "view.log"
    insulad.define(domain_xml("bb", busybox_root, memory=64, settings=_VIEW))
    insulad.virsh("start", "bb")
    return "bb"


def said(insulad: Insulad, name: str, *words: str) -> list[str]:
    """Return the guest's kernel log as the host shows it, without the moments."""
    lines = insula(insulad, "log", "--kernel", *words, name).stdout.splitlines()
    return [line.partition("] ")[2] for line in lines]


def test_what_the_guest_writes_and_what_is_changed_from_outside_stand_in_its_log(insulad: Insulad, guest: str) -> None:
    inside(insulad, guest, "sh", "-c", "echo '<4>from inside' > /dev/kmsg")
    insulad.virsh("suspend", guest)
    insulad.virsh("resume", guest)
    insulad.virsh("setmem", guest, "48M", "--live")
    until(lambda: "insula: memory: 49152 KiB" in said(insulad, guest), "the new limit in the log")
    assert said(insulad, guest)[1:] == [
        "from inside",
        "insula: the machine stands still from now on",
        "insula: the machine goes on",
        "insula: memory: 49152 KiB",
    ]
    assert said(insulad, guest, "-n", "1") == ["insula: memory: 49152 KiB"]
    read = inside(insulad, guest, "head", "-n", "3", "/dev/kmsg")
    assert re.search(r"^12,1,\d+,-;from inside$", read, re.MULTILINE)
    assert re.search(r"^6,2,\d+,-;insula: the machine stands still", read, re.MULTILINE)


def test_whom_the_kernel_killed_is_told_with_the_guests_own_numbers(insulad: Insulad, guest: str) -> None:
    inside(insulad, guest, "sh", "-c", "x=$(yes | head -c 400000000)", check=False)
    until(lambda: any("Killed process" in line for line in said(insulad, guest)), "the kill in the log")
    line = next(line for line in said(insulad, guest) if "Killed process" in line)
    assert "UID:0 " in line


def test_a_guest_without_a_view_has_none(insulad: Insulad, busybox_root: Path) -> None:
    insulad.define(domain_xml("bb", busybox_root))
    insulad.virsh("start", "bb")
    refused = insula(insulad, "log", "--kernel", "bb", check=False)
    assert refused.returncode != 0
    assert "<insula:view enabled='yes'/> gives it one" in refused.stderr


@pytest.fixture(params=RELEASES)
def debian(insulad: Insulad, debian_root: Callable[[str], Path], scratch: Path, request: pytest.FixtureRequest) -> str:
    (scratch / "debian").mkdir()
    insulad.define(domain_xml("deb", copy_tree(debian_root(request.param), scratch / "debian"), settings=_VIEW))
    insulad.virsh("start", "deb")
    return "deb"


def journal(insulad: Insulad) -> str:
    return insula(insulad, "log", "--journal", "deb", check=False).stdout


@pytest.mark.timeout(400)
def test_journald_takes_the_log_and_the_journal_is_told_on_the_host(insulad: Insulad, debian: str) -> None:
    until(lambda: "the log of guest 'deb' begins" in journal(insulad), "the log's first line in the journal", 120)
    inside(insulad, debian, "sh", "-c", "echo '<11>broken inside' > /dev/kmsg")
    until(lambda: "broken inside" in journal(insulad), "the line in the journal", 20)
    assert "broken inside" in inside(insulad, debian, "dmesg")
    assert said(insulad, debian)[0].endswith("the log of guest 'deb' begins")
