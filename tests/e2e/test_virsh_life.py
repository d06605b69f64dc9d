"""A guest is killed and begins anew, dumped, and left alone: virsh's rarer verbs, with the distribution's own virsh."""

from pathlib import Path

import pytest

from tests.e2e.guests import Terminal, domain_id, domain_xml, state
from tests.insulad import Insulad
from tests.waiting import until

pytestmark = [pytest.mark.requires("virsh", "overlay.idmapped"), pytest.mark.client("virsh 9")]


@pytest.fixture
def web(insulad: Insulad, busybox_root: Path) -> str:
    """A defined domain, off."""
    insulad.define(domain_xml("web", busybox_root))
    return "web"


@pytest.fixture
def running(insulad: Insulad, web: str) -> str:
    insulad.virsh("start", web)
    return web


def out(insulad: Insulad, *words: str) -> str:
    return insulad.virsh(*words).stdout.strip()


def refused(insulad: Insulad, *words: str) -> str:
    """The error virsh prints for a command that must fail."""
    result = insulad.virsh(*words, check=False)
    assert result.returncode != 0, f"virsh {' '.join(words)} did not fail: {result.stdout}"
    return result.stderr.strip()


def test_a_reset_guest_begins_anew_and_one_that_stands_still_stands_still(insulad: Insulad, running: str) -> None:
    first = domain_id(insulad, running)
    assert out(insulad, "reset", running) == f"Domain '{running}' was reset"
    second = domain_id(insulad, running)
    assert second not in (None, first) and Path(f"/proc/{second}").exists() and not Path(f"/proc/{first}").exists()
    assert state(insulad, running, reason=True) == "running (booted)"
    insulad.virsh("suspend", running)
    insulad.virsh("reset", running)
    assert state(insulad, running, reason=True) == "paused (user)"
    insulad.virsh("resume", running)
    insulad.virsh("destroy", running)
    assert "domain is not running" in refused(insulad, "reset", running)


def test_a_reset_is_told_as_a_reboot_and_a_console_goes_on(insulad: Insulad, running: str) -> None:
    events = Terminal("virsh", "-c", insulad.uri, "event", "--all", "--loop", "--domain", running)
    console = Terminal("virsh", "-c", insulad.uri, "console", running)
    try:
        console.expect("Connected")
        console.type("\r")
        console.expect("login: ")

        def heard() -> bool:
            insulad.virsh("reset", running)
            console.expect("login: ")
            try:
                events.expect("event 'reboot' for domain", 1)
            except AssertionError:  # it may not listen yet
                return False
            return True

        until(heard, "a reboot on the listener's screen", 20)
    finally:
        console.close()
        events.close()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("screenshot {} /dev/null", "no screen"),
        ("send-key {} KEY_A", "no keyboard; type at its console"),
        ("inject-nmi {}", "no kernel of its own"),
        ("save {} /nowhere", "is not saved"),
        ("managedsave {}", "is not saved"),
        ("snapshot-create {}", "no snapshots"),
        ("blockpull {} vda", "has block jobs"),
        ("iothreadinfo {}", "without I/O threads"),
        ("dompmsuspend {} mem", "no power management"),
        ("dompmwakeup {}", "no power management"),
        ("domdirtyrate-calc {}", "counts no pages"),
        ("blkdeviotune {} vda", "`virsh blkiotune`"),
        ("perf {}", "perf stat"),
        ("backup-begin {}", "back those up"),
    ],
)
def test_what_means_nothing_to_a_container_is_refused_with_what_to_use_instead(
    insulad: Insulad, web: str, words: str, why: str
) -> None:
    said = refused(insulad, *words.format(web).split())
    assert "this function is not supported by the connection driver: virDomain" in said and why in said
