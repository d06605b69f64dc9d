"""Attached before the guest says anything: by waiting for its start, or by starting it; and on over what follows."""

from pathlib import Path

import pytest

from tests.e2e.guests import Terminal, domain_xml, inside, insula, insula_terminal, state, virsh_console, wait_state
from tests.insulad import Insulad
from tests.waiting import until

pytestmark = pytest.mark.requires("virsh", "overlay.idmapped")

FIRST_WORDS = "first words of the boot"


@pytest.fixture
def guest(insulad: Insulad, busybox_root: Path) -> str:
    """A domain that is off, whose boot says something before it asks who comes.

    Not before its getty: busybox's discards what was printed on the terminal and not read yet.
    """
    inittab, greeting = busybox_root / "etc/inittab", busybox_root / "sbin/greeting"
    inittab.write_text(inittab.read_text().replace("getty -L", "getty -n -l /sbin/greeting -L"))
    greeting.write_text(f"#!/bin/sh\necho {FIRST_WORDS}\nexec /bin/login\n")
    greeting.chmod(0o755)
    insulad.define(domain_xml("bb", busybox_root))
    return "bb"


def test_who_waits_at_a_domain_that_is_off_sees_its_boot_from_the_first_byte(insulad: Insulad, guest: str) -> None:
    with insula_terminal(insulad, "console", guest) as console:
        console.expect("'bb' is off; waiting for its start")
        insulad.virsh("start", guest)
        console.expect("Connected")
        console.expect(FIRST_WORDS)
        console.type("\r")
        console.expect("login: ")
        console.type("\x1d")
        assert console.end() == 0
    assert state(insulad, guest) == "running"


@pytest.mark.parametrize("key", ["\x1d", "\x03"])
def test_who_waits_may_leave_before_anything_comes(insulad: Insulad, guest: str, key: str) -> None:
    with insula_terminal(insulad, "console", guest) as console:
        console.expect("waiting for its start")
        console.type(key)
        assert console.end() == 0


def test_who_waits_is_told_when_the_domain_is_removed(insulad: Insulad, guest: str) -> None:
    with insula_terminal(insulad, "console", guest) as console:
        console.expect("waiting for its start")
        insulad.virsh("undefine", guest)
        console.expect("[Nn]o domain with matching uuid")
        assert console.end() != 0


def test_without_a_terminal_only_who_says_so_waits(insulad: Insulad, guest: str) -> None:
    refused = insula(insulad, "console", guest, check=False)
    assert refused.returncode != 0 and "not running" in refused.stderr


def test_all_that_was_printed_before_somebody_came_is_shown(insulad: Insulad, guest: str) -> None:
    insulad.virsh("start", guest)
    log = insulad.layout.logs / f"{guest}.console0.log"
    until(lambda: log.exists() and b"login: " in log.read_bytes(), "the guest's login prompt")
    with virsh_console(insulad, guest) as console:
        console.expect(FIRST_WORDS)
        console.expect("login: ")


def attached_through_a_reboot(insulad: Insulad, guest: str, console: Terminal) -> None:
    console.expect(FIRST_WORDS)
    console.expect("login: ")
    inside(insulad, guest, "reboot", check=False)  # it may end with the guest
    console.expect(FIRST_WORDS, 30)
    console.type("\r")
    console.expect("login: ")
    console.type("root\r")
    console.expect("# ")
    console.type("poweroff\r")
    console.end()
    wait_state(insulad, guest, "shut off")


def test_start_with_console_shows_the_boot_and_stays_through_a_reboot(insulad: Insulad, guest: str) -> None:
    with insula_terminal(insulad, "start", "--console", guest) as console:
        attached_through_a_reboot(insulad, guest, console)


@pytest.mark.parametrize("verb", ["start", "create"])
def test_virsh_with_console_shows_the_boot_and_stays_through_a_reboot(
    insulad: Insulad, guest: str, scratch: Path, verb: str
) -> None:
    what = guest
    if verb == "create":
        (scratch / "bb.xml").write_text(insulad.virsh("dumpxml", guest).stdout)
        insulad.virsh("undefine", guest)
        what = str(scratch / "bb.xml")
    console = Terminal("virsh", "-c", insulad.uri, verb, what, "--console")
    try:
        console.expect("Connected to domain")
        if verb == "start":
            attached_through_a_reboot(insulad, guest, console)
        else:
            console.expect(FIRST_WORDS)
    finally:
        console.close()


def test_only_one_domain_is_started_with_its_console(insulad: Insulad, guest: str) -> None:
    refused = insula(insulad, "start", "--console", guest, "other", check=False)
    assert refused.returncode == 2 and "attaches to one domain" in refused.stderr
    assert state(insulad, guest) == "shut off"
