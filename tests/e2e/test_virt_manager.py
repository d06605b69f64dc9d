"""virt-manager of Debian, unmodified, on a desktop without a screen, used by its windows as a person does.

Each test looks, beside the daemon's own state, at what virt-manager complained of and what was refused to it. Pictures
are artefacts.
"""

import contextlib
import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import pytest
from lxml import etree

from tests import hosts, roots
from tests.artefacts import artefact
from tests.desktop.accessibility import NotShownError, Part, State
from tests.desktop.desktop import Desktop
from tests.desktop.virtmanager import (
    ALERT,
    CONNECTION,
    DELETION,
    MANAGER,
    NEW_DOMAIN,
    NEW_HARDWARE,
    NEW_NETWORK,
    VirtManager,
)
from tests.e2e.guests import domain_xml, state
from tests.enclosure import Enclosure
from tests.hostnet import HostNet
from tests.insulad import Insulad
from tests.waiting import until

pytestmark = [
    pytest.mark.requires("virsh", "overlay.idmapped", "dnsmasq", "nft"),
    pytest.mark.timeout(600),
    pytest.mark.client("virt-manager"),
]

RELEASES = [pytest.param(each, marks=pytest.mark.requires(f"desktop-{each}")) for each in ("12", "13")]
"""virt-manager 4.1 and 5.0."""

DOMAINS = Part(role="tree table", name="vm-list")
NETWORKS = Part(role="table", name="net-list")
HARDWARE = Part(role="table", name="hw-list")
TERMINAL = Part(role="terminal")
XML = Part(role="text", name="XML editor")

LAN = (
    "<network><name>lan</name><forward mode='nat'/><ip address='192.168.77.1' netmask='255.255.255.0'>"
    "<dhcp><range start='192.168.77.10' end='192.168.77.50'/></dhcp></ip></network>"
)
CARD = "<interface type='network'><source network='lan'/></interface>"

USUAL = re.compile(
    r"(Domain|Network) not found: no (domain|network) with matching (name|uuid) '.*'"  # asks whether a name is free
    r"|this function is not supported by the connection driver: virStoragePoolDefineXML"  # a pool `default`, unasked
)
"""What virt-manager is refused wherever it connects, and says to nobody."""


@pytest.fixture(params=RELEASES if hosts.full() else RELEASES[-1:])
def release(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture
def desktop(
    release: str,
    world: Enclosure,
    hostnet: HostNet,
    insulad: Insulad,
    scratch: Path,
    failed_test_logs: dict[str, Path],
) -> Iterator[Desktop]:
    """A desktop with the release's virt-manager, which finds the daemon's socket where it looks for one."""
    failed_test_logs["the desktop"] = scratch / "desktop.log"
    started = Desktop(
        host=hostnet.host,
        root=roots.desktop(release, world.outside),
        shared=[(scratch, str(scratch)), (insulad.socket.parent, "/run/libvirt")],
        log=scratch / "desktop.log",
    )
    yield started
    started.close()


@pytest.fixture
def manager(desktop: Desktop, insulad: Insulad, scratch: Path, failed_test_logs: dict[str, Path]) -> VirtManager:
    """virt-manager beside an active network, `lan`."""
    (scratch / "lan.xml").write_text(LAN)
    insulad.virsh("net-define", str(scratch / "lan.xml"))
    insulad.virsh("net-start", "lan")
    failed_test_logs["virt-manager"] = scratch / "virt-manager.log"
    return VirtManager(desktop, scratch / "virt-manager.log")


def silent(manager: VirtManager, *refused: str) -> None:
    """Nothing was refused but what is usual and what is named, by patterns; nothing else was complained of."""
    expected = re.compile("|".join((USUAL.pattern, *refused)))
    assert [each for each in manager.refusals() if not expected.search(each)] == []
    assert [each for each in manager.complaints() if not expected.search(each)] == []
    assert not manager.shows(ALERT)


def opened(manager: VirtManager, name: str) -> Part:
    """Open a domain's window."""
    manager.row(MANAGER, DOMAINS, f"^{name}\n")
    manager.press(MANAGER, "Open")
    return Part(role="frame", name=f"^{name} on ")


def typed(manager: VirtManager, window: Part, text: str, expected: str) -> None:
    """Type at a domain's console, and see what comes."""
    terminal = manager.find(window, TERMINAL)
    manager.desktop.click(terminal)
    manager.desktop.type(text)
    until(lambda: expected in terminal.text, f"'{expected}' on the console", 20)


def test_domains_their_pages_and_consoles_and_networks_are_shown_without_a_complaint(
    manager: VirtManager, insulad: Insulad, busybox_root: Path, release: str
) -> None:
    insulad.define(domain_xml("off", busybox_root, memory=64))
    insulad.define(domain_xml("web", busybox_root, memory=128, extra=CARD))
    insulad.virsh("start", "web")
    rows = partial(manager.rows, MANAGER, DOMAINS)
    until(lambda: {"off\nShutoff", "web\nRunning"} <= set(rows()), "both domains in the list", 20)
    assert manager.shows(MANAGER, Part(role="table column header", name="CPU usage"))

    window = opened(manager, "web")
    until(lambda: "login:" in manager.find(window, TERMINAL).text, "the prompt on the console", 20)
    typed(manager, window, "root\n", "# ")
    typed(manager, window, "echo $((6 * 7))\n", "42")
    manager.desktop.picture(artefact(f"virt-manager-{release}-console.png"))
    manager.press(window, "Details", role="radio button")
    pages = [name for name in manager.rows(window, HARDWARE) if not name.startswith("NIC")]
    assert pages == [
        "Overview", "OS information", "Performance", "CPUs", "Memory", "Boot Options", "Console 1", "Filesystem /"
    ]  # fmt: skip
    for page, seen in (
        ("^Overview$", Part(role="label", name=r"^Running \(Booted\)$")),
        ("^Performance$", Part(role="label", name="MiB of 128 MiB")),
        ("^CPUs$", Part(role="spin button", name="Virtual CPU Select")),
        ("^Memory$", Part(role="spin button", name="^Memory Select")),
        ("^Boot Options$", Part(role="text", name="Init path")),
        ("^NIC", Part(role="combo box", name="net-source")),
        ("^Console 1$", Part(role="label", name="^pty$")),
        ("^Filesystem /$", Part(role="text", name="Source path")),
    ):
        manager.row(window, HARDWARE, page)
        manager.find(window, seen)
    manager.desktop.picture(artefact(f"virt-manager-{release}-details.png"))
    manager.close_window(window)

    manager.menu(MANAGER, "Edit", "Connection Details")
    manager.tab(CONNECTION, "Virtual Networks")
    manager.row(CONNECTION, NETWORKS, "^lan$")
    for shown in ("Active", "NAT", "192.168.77.0/24", "192.168.77.10 - 192.168.77.50"):
        manager.find(CONNECTION, Part(role="label", name=f"^{re.escape(shown)}$"))
    manager.desktop.picture(artefact(f"virt-manager-{release}-networks.png"))
    silent(manager)


def test_networks_are_made_changed_renamed_stopped_and_removed(
    manager: VirtManager, insulad: Insulad, release: str
) -> None:
    manager.menu(MANAGER, "Edit", "Connection Details")
    manager.tab(CONNECTION, "Virtual Networks")
    for number, (name, mode) in enumerate(
        (("nat", "NAT"), ("routed", "Routed"), ("open", "Open"), ("alone", "Isolated")), start=130
    ):
        new_network(manager, name, mode, number)
        manager.press(NEW_NETWORK, "Finish")
        manager.gone(NEW_NETWORK)
        until(partial(is_active, insulad, name), f"network '{name}'", 20)
    modes = {name: network_fact(insulad, name, "forward/@mode") for name in ("nat", "routed", "open", "alone")}
    assert modes == {"nat": "nat", "routed": "route", "open": "open", "alone": ""}
    assert network_fact(insulad, "nat", "ip[@family='ipv6']/@address") == "fd00:0:0:130::1"
    manager.desktop.picture(artefact(f"virt-manager-{release}-new-networks.png"))

    new_network(manager, "clash", "NAT", 130)
    manager.press(NEW_NETWORK, "Finish")
    assert "its subnet 192.168.130.0/24 collides with 192.168.130.0/24" in manager.answer("Close")
    manager.press(NEW_NETWORK, "Cancel")
    assert "clash" not in insulad.virsh("net-list", "--all", "--name").stdout.split()

    manager.row(CONNECTION, NETWORKS, "^routed$")
    manager.find(CONNECTION, Part(role="check box", name="net-autostart")).act()
    manager.press(CONNECTION, "Apply")
    until(lambda: "routed" not in insulad.virsh("net-list", "--autostart", "--name").stdout, "no autostart", 20)
    manager.press(CONNECTION, "net-stop")
    until(lambda: not is_active(insulad, "routed"), "the stop", 20)
    manager.write(CONNECTION, "net-name", "renamed")
    manager.press(CONNECTION, "Apply")
    until(lambda: "renamed" in manager.rows(CONNECTION, NETWORKS), "the new name", 20)
    manager.press(CONNECTION, "net-start")
    until(lambda: is_active(insulad, "renamed"), "the start", 20)

    manager.tab(CONNECTION, "XML")
    edit(manager, CONNECTION, ".131.199", ".131.120")
    manager.press(CONNECTION, "Apply")
    range_end = "ip/dhcp/range/@end"
    until(lambda: network_fact(insulad, "renamed", range_end, "--inactive") == "192.168.131.120", "the change", 20)
    assert network_fact(insulad, "renamed", range_end) == "192.168.131.199"
    edit(manager, CONNECTION, "192.168.131.10", "192.168.140.10")
    manager.press(CONNECTION, "Apply")
    assert "is not within the subnet 192.168.131.0/24" in manager.answer("Close")

    manager.row(CONNECTION, NETWORKS, "^alone$")
    with contextlib.suppress(NotShownError):  # changes that were not applied
        manager.find(ALERT, seconds=2)
        manager.answer("No")
    manager.press(CONNECTION, "net-stop")
    until(lambda: not is_active(insulad, "alone"), "the stop", 20)
    manager.click(CONNECTION, "net-delete")
    assert "permanently delete the network alone" in manager.answer("Yes")
    until(lambda: "alone" not in insulad.virsh("net-list", "--all", "--name").stdout.split(), "its removal", 20)
    until(lambda: manager.rows(CONNECTION, NETWORKS) == ["lan", "nat", "open", "renamed"], "the list", 20)
    silent(manager, "collides with", "is not within the subnet")


def new_network(manager: VirtManager, name: str, mode: str, number: int) -> None:
    """Fill in the form for a new network, 192.168.NUMBER.0/24; one that does NAT has IPv6 too."""
    manager.press(CONNECTION, "net-add")
    manager.write(NEW_NETWORK, "Net Name", name)
    manager.choose(NEW_NETWORK, "net-mode", f"^{mode}$")
    for family in ("IPv4", "IPv6"):
        unfold = manager.find(NEW_NETWORK, Part(role="toggle button", name=f"^{family} configuration$"))
        if not unfold.has(State.CHECKED):
            unfold.act()
    manager.write(NEW_NETWORK, "ipv4-network", f"192.168.{number}.0/24")
    manager.write(NEW_NETWORK, "ipv4-start", f"192.168.{number}.100")
    manager.write(NEW_NETWORK, "ipv4-end", f"192.168.{number}.199")
    if mode == "NAT":
        manager.find(NEW_NETWORK, Part(role="check box", name="Enable IPv6")).act()
        manager.write(NEW_NETWORK, "ipv6-network", f"fd00:0:0:{number}::/64")


def is_active(insulad: Insulad, network: str) -> bool:
    return network in insulad.virsh("net-list", "--name").stdout.split()


def network_fact(insulad: Insulad, name: str, path: str, *options: str) -> str:
    """What an XPath expression finds in a network's XML, as text; empty if nothing."""
    document = etree.fromstring(insulad.virsh("net-dumpxml", name, *options).stdout)
    return str(document.xpath(f"string({path})"))


def edit(manager: VirtManager, window: Part, old: str, new: str) -> None:
    """Replace something in the XML that a window shows."""
    editor = manager.find(window, XML)
    until(lambda: old in editor.text, f"'{old}' in the XML", 20)
    editor.write(editor.text.replace(old, new))


def test_the_wizard_makes_a_container_that_is_paused_rebooted_stopped_and_deleted(
    manager: VirtManager, insulad: Insulad, busybox_root: Path, release: str
) -> None:
    manager.press(MANAGER, "New")
    manager.find(NEW_DOMAIN, Part(role="radio button", name="^Operating system container$")).act()
    manager.press(NEW_DOMAIN, "Forward")
    manager.write(NEW_DOMAIN, "existing OS root directory", str(busybox_root))
    manager.press(NEW_DOMAIN, "Forward")
    manager.find(NEW_DOMAIN, Part(role="spin button", name="^$")).set(96)
    manager.press(NEW_DOMAIN, "Forward")
    manager.write(NEW_DOMAIN, "^Name:", "made")
    manager.desktop.picture(artefact(f"virt-manager-{release}-wizard.png"))
    manager.press(NEW_DOMAIN, "Finish")
    window = Part(role="frame", name="^made on ")
    until(lambda: "login:" in manager.find(window, TERMINAL, seconds=60).text, "the prompt on the console", 20)
    assert state(insulad, "made") == "running"
    assert "98304 KiB" in insulad.virsh("dominfo", "made").stdout
    assert insulad.virsh("domiflist", "made").stdout.split()[-4:-1] == ["network", "lan", "-"]

    manager.press(window, "Pause", role="toggle button")
    until(lambda: state(insulad, "made") == "paused", "the pause", 20)
    until(lambda: "made\nPaused" in manager.rows(MANAGER, DOMAINS), "the pause in the list", 20)
    manager.press(window, "Pause", role="toggle button")
    until(lambda: state(insulad, "made") == "running", "its end", 20)

    typed(manager, window, "root\n", "# ")
    former = insulad.virsh("domid", "made").stdout
    manager.menu(window, "Virtual Machine", "Shut Down", "Reboot")
    until(lambda: insulad.virsh("domid", "made").stdout not in (former, "-\n\n"), "the reboot", 40)
    until(lambda: manager.find(window, TERMINAL).text.count("login:") > 1, "the next run's prompt on the console", 20)
    typed(manager, window, "root\n", "BusyBox")

    former = insulad.virsh("domid", "made").stdout
    manager.ask_menu(window, "Virtual Machine", "Shut Down", "Force Reset")
    assert "force reset 'made'" in manager.answer("Yes")
    until(lambda: insulad.virsh("domid", "made").stdout not in (former, "-\n\n"), "the reset", 40)
    until(lambda: manager.find(window, TERMINAL).text.count("login:") > 2, "the next run's prompt on the console", 20)

    manager.press(window, "Shut Down")
    until(lambda: state(insulad, "made", reason=True) == "shut off (shutdown)", "the shutdown", 40)
    manager.find(window, Part(role="label", name="Guest is not running"))
    manager.press(window, "Run")
    until(lambda: state(insulad, "made") == "running", "the start", 20)
    manager.ask_menu(window, "Virtual Machine", "Shut Down", "Force Off")
    assert "force poweroff 'made'" in manager.answer("Yes")
    until(lambda: state(insulad, "made", reason=True) == "shut off (destroyed)", "its end", 20)

    manager.press(window, "Run")
    until(lambda: state(insulad, "made") == "running", "the start", 20)
    manager.menu(window, "Virtual Machine", "Delete")
    manager.find(DELETION, Part(role="label", name="forced off before being deleted"))
    manager.click(DELETION, "Delete")
    with contextlib.suppress(NotShownError):  # if storage files are to be deleted, it asks once more
        manager.find(ALERT, seconds=2)
        manager.answer("Yes")
    until(lambda: "made" not in insulad.virsh("list", "--all", "--name").stdout.split(), "its removal", 20)
    assert (busybox_root / "bin/busybox").exists()
    silent(manager)


def test_the_wizards_application_container_has_no_root_and_is_told_so(manager: VirtManager, insulad: Insulad) -> None:
    """libvirt shows such a container the host's own root."""
    manager.press(MANAGER, "New")
    for page in ("Choose the container type", "Provide the application path", "Choose Memory and CPU settings"):
        manager.find(NEW_DOMAIN, Part(role="label", name=page))
        manager.press(NEW_DOMAIN, "Forward")
    manager.write(NEW_DOMAIN, "^Name:", "app")
    manager.press(NEW_DOMAIN, "Finish")
    assert "domain 'app' has no root: add <filesystem type='template'>" in manager.answer("Close")
    assert insulad.virsh("list", "--all", "--name").stdout.split() == []
    silent(manager, "domain 'app' has no root")


def test_a_running_guests_devices_memory_and_description_are_changed_in_its_window(
    manager: VirtManager, insulad: Insulad, busybox_root: Path, scratch: Path
) -> None:
    (scratch / "data").mkdir()
    (scratch / "data/here").write_text("")
    insulad.define(domain_xml("web", busybox_root, memory=128, extra=CARD))
    insulad.virsh("start", "web")
    until(lambda: "web\nRunning" in manager.rows(MANAGER, DOMAINS), "the domain in the list", 20)
    window = opened(manager, "web")
    until(lambda: "login:" in manager.find(window, TERMINAL).text, "the prompt on the console", 20)
    typed(manager, window, "root\n", "# ")

    manager.press(window, "Details", role="radio button")
    manager.row(window, HARDWARE, "^Memory$")
    manager.apply(
        window,
        lambda: manager.find(window, Part(role="spin button", name="^Memory Select")).set(96),
        lambda: "balloon.current=98304" in insulad.virsh("domstats", "web", "--balloon").stdout,
        "less memory",
    )
    assert "<currentMemory unit='KiB'>98304<" in insulad.virsh("dumpxml", "web", "--inactive").stdout

    add(manager, window, "Filesystem", {"Source path": str(scratch / "data"), "Target path": "/mnt"})
    until(lambda: "Filesystem /mnt" in manager.rows(window, HARDWARE), "the file system in the list", 20)
    add(manager, window, "Network", {})
    until(lambda: len(cards(insulad, "web")) == 2, "a second card", 20)
    manager.press(window, "Console", role="radio button")
    typed(manager, window, "ls /mnt; ls /sys/class/net\n", "here")
    until(lambda: "eth1" in manager.find(window, TERMINAL).text, "the second card inside", 20)

    manager.press(window, "Details", role="radio button")
    manager.row(window, HARDWARE, f"^NIC :{cards(insulad, 'web')[1][-8:]}")
    link = manager.find(window, Part(role="check box", name="^active$"))
    manager.apply(
        window,
        lambda: link.act_now() if link.has(State.CHECKED) else None,
        lambda: "down" in insulad.virsh("domif-getlink", "web", "vnet1").stdout,
        "the link being off",
    )
    for device in ("NIC :" + cards(insulad, "web")[1][-8:], "Filesystem /mnt"):
        manager.row(window, HARDWARE, f"^{device}")
        manager.click(window, "config-remove")
        assert "remove this device" in manager.answer("Yes")
        manager.gone(window, HARDWARE, Part(role="table cell", name=f"^{device}"))
    assert len(cards(insulad, "web")) == 1
    for which in ((), ("--inactive",)):
        assert "/mnt" not in insulad.virsh("dumpxml", "web", *which).stdout

    manager.row(window, HARDWARE, "^Overview$")
    manager.apply(
        window,
        lambda: manager.write(Part(role="frame", name="web on "), "^Title:", "The web"),
        lambda: insulad.virsh("desc", "web", "--title").stdout.strip() == "The web",
        "the title",
    )
    silent(manager)


def add(manager: VirtManager, window: Part, kind: str, fields: Mapping[str, str]) -> None:
    """Add hardware of a kind."""
    manager.press(window, "add-hardware")
    manager.row(NEW_HARDWARE, Part(role="table"), f"^{kind}$")
    for field, text in fields.items():
        manager.write(NEW_HARDWARE, field, text)
    manager.press(NEW_HARDWARE, "Finish")
    manager.gone(NEW_HARDWARE)


def cards(insulad: Insulad, name: str) -> list[str]:
    """The MAC addresses of a running domain's cards."""
    return [line.split()[-1] for line in insulad.virsh("domiflist", name).stdout.splitlines() if "network" in line]
