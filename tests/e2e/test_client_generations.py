"""Newer generations of libvirt's own client against the same daemon: what an administrator does all day."""

import re
from pathlib import Path

import pytest

from tests import sideload
from tests.e2e.guests import Terminal, domain_xml, state
from tests.insulad import Insulad
from tests.waiting import until

pytestmark = pytest.mark.requires("virsh", "overlay.idmapped")

GENERATIONS = [
    pytest.param("virsh-11", marks=[pytest.mark.requires("virsh-11"), pytest.mark.client("virsh 11")]),
    pytest.param("virsh-12", marks=[pytest.mark.requires("virsh-12"), pytest.mark.client("virsh 12")]),
]


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_newer_virsh_defines_runs_watches_and_removes_a_domain(
    insulad: Insulad, busybox_root: Path, scratch: Path, generation: str
) -> None:
    program = sideload.found(generation)
    file = scratch / "domain.xml"
    file.write_text(domain_xml("bb", busybox_root, settings="<insula:opennamespace/>"))

    def virsh(*words: str) -> str:
        return insulad.virsh(*words, program=program).stdout.strip()

    assert re.search(r"Compiled against library: libvirt 1[1-9]\.", virsh("version"))
    virsh("define", str(file))
    virsh("start", "bb")
    assert re.search(r"\bbb\s+running", virsh("list", "--all"))
    assert virsh("domstate", "bb", "--reason") == "running (booted)"
    assert "state.state=1" in virsh("domstats", "bb")
    assert "hard_limit" in virsh("memtune", "bb") and "actual" in virsh("dommemstat", "bb")
    assert "Name:" in virsh("dominfo", "bb") and "cpu_shares" in virsh("schedinfo", "bb")
    assert "<name>bb</name>" in virsh("dumpxml", "bb") and "exe" in virsh("capabilities")
    assert "busybox" in virsh("lxc-enter-namespace", "bb", "--", "/bin/cat", "/etc/hostname")
    virsh("suspend", "bb")
    virsh("resume", "bb")
    virsh("destroy", "bb")
    virsh("undefine", "bb")
    assert virsh("list", "--all", "--name") == ""


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_newer_virsh_has_a_domain_start_with_the_hosts_next_start_only(
    insulad: Insulad, busybox_root: Path, generation: str
) -> None:
    program = sideload.found(generation)
    insulad.define(domain_xml("bb", busybox_root))
    mark = insulad.layout.run / "autostarted"
    insulad.virsh("autostart", "bb", "--once", program=program)
    told = insulad.virsh("dominfo", "bb", program=program).stdout
    assert re.search(r"Autostart:\s+disable", told) and re.search(r"Autostart Once:\s+enable", told)

    insulad.stop()
    mark.unlink()  # what a reboot of the host would do
    insulad.start()

    until(lambda: state(insulad, "bb") == "running", "the domain running")
    until(lambda: not any(insulad.layout.autostart.iterdir()), "the link being gone")
    assert re.search(r"Autostart Once:\s+disable", insulad.virsh("dominfo", "bb", program=program).stdout)


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_newer_virsh_has_a_console_and_hears_events(insulad: Insulad, busybox_root: Path, generation: str) -> None:
    program = str(sideload.found(generation))
    insulad.define(domain_xml("bb", busybox_root))
    listener = Terminal(program, "-c", insulad.uri, "event", "--event", "lifecycle", "--loop")
    console = Terminal(program, "-c", insulad.uri)
    try:
        console.expect("virsh # ")
        console.type("start bb --console\r")
        console.expect("Connected to domain")
        console.expect("login: ")
        console.type("\x1d")
        console.expect("virsh # ")

        def heard() -> bool:
            insulad.virsh("suspend", "bb")
            insulad.virsh("resume", "bb")
            try:
                listener.expect("lifecycle.*Suspended", 1)
            except AssertionError:
                return False
            return True

        until(heard, "an event on the listener's screen", 20)
        assert state(insulad, "bb") == "running"
    finally:
        console.close()
        listener.close()
