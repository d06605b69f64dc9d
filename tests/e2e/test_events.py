"""Every event that is sent is heard by an unmodified virsh, and comes in the order of what happened."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import sideload
from tests.e2e.guests import Terminal, domain_xml, inside
from tests.insulad import Insulad
from tests.waiting import until

pytestmark = pytest.mark.requires("virsh", "overlay.idmapped", "userns")

STAMP = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+\+0000: "


@pytest.fixture
def guest(insulad: Insulad, busybox_root: Path) -> str:
    insulad.define(domain_xml("web", busybox_root).replace("<os>", "<vcpu>2</vcpu><os>"))
    insulad.virsh("start", "web")
    return "web"


@pytest.fixture
def listener(insulad: Insulad) -> Iterator[Terminal]:
    """A virsh that tells every event. Nothing says when it has registered for which."""
    terminal = Terminal("virsh", "-c", insulad.uri, "event", "--all", "--loop", "--timestamp")
    yield terminal
    terminal.close()


def hears(listener: Terminal, words: str, doing: Callable[[], object]) -> None:
    """Do it, time and again, until it is heard: a listener may be about to register only."""

    def heard() -> bool:
        doing()
        try:
            listener.expect(words, 1)
        except AssertionError:
            return False
        return True

    until(heard, f"'{words}' on virsh's screen", 40)


def test_virsh_hears_every_event_that_is_sent(insulad: Insulad, guest: str, listener: Terminal, scratch: Path) -> None:
    def virsh(*verbs: tuple[str, ...]) -> Callable[[], object]:
        """All of them, one behind the other, about the guest."""
        return lambda: [insulad.virsh(verb, guest, *words) for verb, *words in verbs]

    def event(name: str, rest: str) -> str:
        return rf"{STAMP}event '{name}' for domain '?web'?:?\s*{rest}"

    (scratch / "disk").write_bytes(bytes(1 << 20))
    pause = virsh(("suspend",), ("resume",))
    disk = virsh(("attach-disk", str(scratch / "disk"), "vda", "--live"), ("detach-disk", "vda", "--live"))
    hears(listener, event("lifecycle", "Suspended Paused"), pause)
    hears(listener, event("lifecycle", "Resumed Unpaused"), pause)
    hears(listener, event("metadata-change", "type description"), virsh(("desc", "a"), ("desc", "b")))
    hears(listener, event("tunable", r"\s*cputune.cpu_shares: 512"), virsh(("schedinfo", "cpu_shares=512")))
    hears(listener, event("balloon-change", "262144KiB"), virsh(("setmem", "262144")))
    hears(listener, event("device-added", "vda"), disk)
    hears(listener, event("device-removed", "vda"), disk)
    inside(insulad, guest, "sh", "-c", "head -c 100000000 /dev/zero > /filled")
    hears(listener, event("job-completed", "\\s*operation"), virsh(("setmem", "65536"), ("setmem", "262144")))
    # Asked once more in the moment between its end and its next start, it does not run.
    hears(listener, event("reboot", ""), lambda: insulad.virsh("reboot", guest, check=False))


@pytest.mark.requires("virsh-12")
def test_a_newer_virsh_hears_that_a_processor_is_gone(insulad: Insulad, guest: str) -> None:
    listener = Terminal(
        str(sideload.found("virsh-12")), "-c", insulad.uri, "event", "--event", "vcpu-removed", "--loop"
    )
    try:

        def fewer() -> None:
            for number in "12":
                insulad.virsh("setvcpus", guest, number, "--live")

        hears(listener, "event 'vcpu-removed' for domain 'web': vcpu 1", fewer)
    finally:
        listener.close()


def test_what_happens_to_one_domain_is_told_in_that_order_and_nothing_of_others(
    insulad: Insulad, guest: str, busybox_root: Path
) -> None:
    insulad.define(domain_xml("other", busybox_root))
    listener = Terminal("virsh", "-c", insulad.uri, "event", guest, "--event", "lifecycle", "--loop")
    try:
        hears(listener, "Resumed", lambda: [insulad.virsh(verb, guest) for verb in ("suspend", "resume")])
        insulad.virsh("destroy", guest)
        insulad.virsh("start", "other")
        insulad.virsh("start", guest)
        insulad.virsh("destroy", guest)
        seen = listener.expect("(?s).*Stopped.*Stopped Destroyed")
        told = re.findall(r"for domain '(\w+)': (\w+)", seen)
        assert [each for each in told if each[1] not in ("Suspended", "Resumed")] == [
            ("web", "Stopped"), ("web", "Started"), ("web", "Stopped"),
        ]  # fmt: skip
    finally:
        listener.close()
