"""Cards of type `user` by virsh: what is told of them, and what becomes of their helpers, whoever dies."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from insula.kernel.processidentity import ProcessIdentity, processes_where
from tests.e2e.guests import domain_id, domain_xml, insula
from tests.hostnet import HostNet
from tests.insulad import Insulad
from tests.waiting import until

pytestmark = pytest.mark.requires("virsh", "overlay.idmapped", "userns", "passt")

MAC = "52:54:00:11:22:33"
CARD = f"""<interface type='user'><mac address='{MAC}'/><ip address='10.0.2.15' family='ipv4' prefix='24'/>
<portForward proto='tcp'><range start='8080' to='80'/></portForward></interface>"""


def helpers() -> list[ProcessIdentity]:
    return processes_where(lambda command, _: any(word.startswith(b"insula:") for word in (command[0], command[-1])))


def cards(insulad: Insulad, *flags: str) -> list[ET.Element]:
    return ET.fromstring(insulad.virsh("dumpxml", "web", *flags).stdout).findall("devices/interface")


@pytest.fixture
def web(hostnet: HostNet, insulad: Insulad, busybox_root: Path) -> Iterator[str]:
    """A guest with such a card, which runs."""
    insulad.define(domain_xml("web", busybox_root, extra=CARD))
    insulad.virsh("start", "web")
    yield "web"
    insulad.virsh("destroy", "web", check=False)
    until(lambda: not helpers(), "the helpers' end")


def inside(insulad: Insulad, *command: str) -> str:
    network = f"--net=/proc/{domain_id(insulad, 'web')}/ns/net"
    return insulad.host.run("nsenter", network, *command).stdout


def test_what_is_there_is_told(insulad: Insulad, web: str) -> None:
    (live,), (defined,) = cards(insulad), cards(insulad, "--inactive")
    backend = live.find("backend")
    assert backend is not None and backend.get("type") == "passt"
    assert live.find("target") is None
    assert defined.find("backend") is None
    assert defined.find("portForward/range") is not None
    assert insulad.virsh("domiflist", web).stdout.splitlines()[2].split() == ["-", "user", "-", "-", MAC]
    assert "10.0.2.15/24" in insulad.virsh("domifaddr", web).stdout
    assert "rx_bytes" in insulad.virsh("domifstat", web, MAC).stdout
    assert "nameserver 10.0.2.3" in insula(insulad, "exec", web, "--", "cat", "/etc/resolv.conf").stdout
    assert "default via 10.0.2.2" in inside(insulad, "ip", "route")


def test_its_carrier_is_taken_and_given_back(insulad: Insulad, web: str) -> None:
    for state, shown in (("down", "NO-CARRIER"), ("up", "LOWER_UP")):
        insulad.virsh("domif-setlink", web, MAC, state)
        until(lambda shown=shown: shown in inside(insulad, "ip", "link", "show", "eth0"), shown)  # type: ignore[misc]
        assert state in insulad.virsh("domif-getlink", web, MAC).stdout


def test_a_card_is_attached_and_detached_with_its_helper(
    insulad: Insulad, hostnet: HostNet, busybox_root: Path, scratch: Path
) -> None:
    insulad.define(domain_xml("web", busybox_root))
    insulad.virsh("start", "web")
    (scratch / "card.xml").write_text(CARD)
    insulad.virsh("attach-device", "web", str(scratch / "card.xml"), "--live", "--config")
    (helper,) = helpers()
    assert helper.pid > 0
    assert "10.0.2.15/24" in inside(insulad, "ip", "address")
    insulad.virsh("detach-device", "web", str(scratch / "card.xml"), "--live", "--config")
    assert not helpers()
    assert "eth0" not in inside(insulad, "ip", "link")
    insulad.virsh("destroy", "web")


def test_a_helper_that_is_killed_comes_back_with_the_guests_addresses_and_that_is_told(
    insulad: Insulad, web: str
) -> None:
    (helper,) = helpers()
    os.kill(helper.pid, signal.SIGKILL)
    until(
        lambda: helpers() not in ([], [helper]) and "LOWER_UP" in inside(insulad, "ip", "link", "show", "eth0"),
        "another",
    )
    until(lambda: "ended, and was begun anew" in insula(insulad, "info", web).stdout, "the notice")
    told = inside(insulad, "ip", "address", "show", "eth0")
    assert "10.0.2.15/24" in told
    assert "default via 10.0.2.2" in inside(insulad, "ip", "route")


def test_a_daemon_that_begins_anew_knows_the_helper_and_brings_back_one_that_ended_meanwhile(
    insulad: Insulad, web: str
) -> None:
    before = helpers()
    insulad.kill()
    insulad.start()
    assert helpers() == before
    insulad.kill()
    os.kill(before[0].pid, signal.SIGKILL)
    insulad.start()
    until(lambda: helpers() not in ([], before), "another helper")


def test_a_guest_that_ends_leaves_no_helper_and_has_its_own_when_it_starts_again(insulad: Insulad, web: str) -> None:
    before = helpers()
    insulad.virsh("destroy", web)
    until(lambda: not helpers(), "the helper's end")
    insulad.virsh("start", web)
    assert len(helpers()) == 1 and helpers() != before


def test_a_daemon_killed_amid_a_start_leaves_no_helper(insulad: Insulad, hostnet: HostNet, busybox_root: Path) -> None:
    insulad.define(domain_xml("web", busybox_root, extra=CARD))
    starting = insulad.host.start("virsh", "-c", insulad.uri, "start", "web")
    until(helpers, "a launcher or helper")
    insulad.kill()
    starting.wait()
    insulad.start()
    if insulad.virsh("domstate", "web").stdout.strip() == "running":  # it was faster
        insulad.virsh("destroy", "web")
    until(lambda: not helpers(), "the helper's end")
