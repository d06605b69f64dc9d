"""virsh's net-* commands, unmodified, on networks that are really made: bridges, rules and dnsmasq of this host's.

libvirt's own driver for tests, `virsh -c test:///default`, is a stranger to compare with: exit statuses and words.
"""

import contextlib
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests import leaks
from tests.e2e.guests import Terminal, domain_xml, inside, insula
from tests.insulad import Insulad
from tests.waiting import patience, until

pytestmark = pytest.mark.requires("virsh", "nft", "dnsmasq")

UUID = "11111111-2222-3333-4444-555555555555"
MAC = "52:54:00:00:00:05"
LAN = f"""
<network>
  <name>lan</name>
  <uuid>{UUID}</uuid>
  <bridge name='lan0'/>
  <ip address='10.9.0.1' netmask='255.255.255.0'>
    <dhcp><range start='10.9.0.2' end='10.9.0.9'/></dhcp>
  </ip>
</network>
"""
HOST = f"<host mac='{MAC}' ip='10.9.0.5'/>"


@pytest.fixture
def lan(scratch: Path) -> Path:
    """The document of a network, in a file."""
    file = scratch / "lan.xml"
    file.write_text(LAN)
    return file


def out(insulad: Insulad, *words: str) -> str:
    return insulad.virsh(*words).stdout.strip()


def refused(insulad: Insulad, *words: str) -> str:
    result = insulad.virsh(*words, check=False)
    assert result.returncode == 1
    return result.stderr.strip().splitlines()[-1]


def table(text: str) -> dict[str, str]:
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}


def addresses(insulad: Insulad, bridge: str = "lan0") -> str:
    return insulad.host.run("ip", "-o", "address", "show", "dev", bridge, check=False).stdout


def test_a_network_is_defined_started_shown_stopped_and_undefined(insulad: Insulad, lan: Path) -> None:
    assert out(insulad, "net-define", str(lan)) == f"Network lan defined from {lan}"
    assert table(out(insulad, "net-info", "lan")) == {
        "Name": "lan", "UUID": UUID, "Active": "no", "Persistent": "yes", "Autostart": "no", "Bridge": "lan0",
    }  # fmt: skip
    assert addresses(insulad) == ""
    assert out(insulad, "net-start", "lan") == "Network lan started"
    assert "10.9.0.1/24" in addresses(insulad)
    assert table(out(insulad, "net-info", UUID))["Active"] == "yes"
    assert (out(insulad, "net-uuid", "lan"), out(insulad, "net-name", UUID)) == (UUID, "lan")
    assert out(insulad, "net-destroy", "lan") == "Network lan destroyed"
    assert addresses(insulad) == ""
    assert out(insulad, "net-undefine", "lan") == "Network lan has been undefined"
    assert out(insulad, "net-list", "--all", "--name") == ""


def test_a_transient_network_is_gone_when_it_is_destroyed(insulad: Insulad, lan: Path) -> None:
    assert out(insulad, "net-create", str(lan)) == f"Network lan created from {lan}"
    assert re.search(r"lan\s+active\s+no\s+no", out(insulad, "net-list", "--transient"))
    assert refused(insulad, "net-undefine", "lan").endswith("not valid: can't undefine transient network")
    assert refused(insulad, "net-autostart", "lan").endswith("not valid: cannot set autostart for transient network")
    insulad.virsh("net-destroy", "lan")
    assert refused(insulad, "net-info", "lan") == "error: Network not found: no network with matching name 'lan'"


def test_an_active_network_that_is_undefined_goes_on_until_it_is_destroyed(insulad: Insulad, lan: Path) -> None:
    insulad.virsh("net-define", str(lan))
    insulad.virsh("net-start", "lan")
    assert refused(insulad, "net-start", "lan").endswith("not valid: network is already active")
    insulad.virsh("net-undefine", "lan")
    assert "10.9.0.1/24" in addresses(insulad)
    insulad.virsh("net-destroy", "lan")
    assert out(insulad, "net-list", "--all", "--name") == ""


def test_networks_are_listed_by_every_filter(insulad: Insulad, lan: Path, scratch: Path) -> None:
    insulad.virsh("net-define", str(lan))
    insulad.virsh("net-autostart", "lan")
    brief = scratch / "brief.xml"
    brief.write_text("<network><name>brief</name><ip address='10.8.0.1' prefix='24'/></network>")
    insulad.virsh("net-create", str(brief))
    listed = {
        (): ["brief"],
        ("--all",): ["brief", "lan"],
        ("--inactive",): ["lan"],
        ("--persistent", "--all"): ["lan"],
        ("--transient", "--all"): ["brief"],
        ("--autostart", "--all"): ["lan"],
        ("--no-autostart", "--all"): ["brief"],
    }
    for words, names in listed.items():
        assert out(insulad, "net-list", "--name", *words).split() == names, words
    assert UUID in out(insulad, "net-list", "--all", "--uuid").split()
    insulad.virsh("net-destroy", "brief")


def test_a_network_is_updated_live_and_in_its_definition(insulad: Insulad, lan: Path) -> None:
    insulad.virsh("net-define", str(lan))
    insulad.virsh("net-start", "lan")
    said = out(insulad, "net-update", "lan", "add", "ip-dhcp-host", HOST, "--live", "--config")
    assert said == "Updated network lan persistent config and live state"
    for words in ((), ("--inactive",)):
        assert f"<host mac='{MAC}' ip='10.9.0.5'/>" in out(insulad, "net-dumpxml", "lan", *words)
    insulad.virsh("net-update", "lan", "delete", "ip-dhcp-host", HOST, "--live")
    assert "<host" not in out(insulad, "net-dumpxml", "lan")
    assert "<host" in out(insulad, "net-dumpxml", "--inactive", "lan")
    assert "cannot be updated" in refused(insulad, "net-update", "lan", "add", "bridge", "<bridge name='x'/>", "--live")
    insulad.virsh("net-destroy", "lan")
    assert refused(insulad, "net-update", "lan", "add", "ip-dhcp-host", HOST, "--live").endswith(
        "not valid: network is not running"
    )


POOL = """
<network>
  <name>pool</name>
  <forward mode='passthrough'><interface dev='up0'/><interface dev='up1'/></forward>
</network>
"""


def test_guests_of_a_pool_get_a_device_each_until_there_is_none(
    insulad: Insulad, scratch: Path, busybox_root: Path
) -> None:
    for number in range(2):
        insulad.host.run("ip", "link", "add", f"up{number}", "type", "veth", "peer", "name", f"far{number}")
        insulad.host.run("ip", "link", "set", f"up{number}", "up")
    file = scratch / "pool.xml"
    file.write_text(POOL)
    insulad.virsh("net-create", str(file))
    for number, name in enumerate(("one", "two", "three")):
        card = (
            f"<interface type='network'><mac address='52:54:00:00:00:0{number}'/><source network='pool'/></interface>"
        )
        insulad.define(domain_xml(name, busybox_root, extra=card))
    insulad.virsh("start", "one")
    insulad.virsh("start", "two")
    assert re.findall(r"<interface dev='(.*?)' connections='1'/>", out(insulad, "net-dumpxml", "pool")) == [
        "up0",
        "up1",
    ]
    assert "all 2 devices of the network 'pool' are in use" in refused(insulad, "start", "three")
    insulad.virsh("destroy", "two")
    insulad.virsh("start", "three")
    plugs = [
        out(insulad, "net-port-dumpxml", "pool", port) for port in out(insulad, "net-port-list", "pool").split()[2:]
    ]
    assert sorted(re.findall(r"<plug type='direct' dev='(.*?)' mode='passthrough'/>", "".join(plugs))) == ["up0", "up1"]
    for name in ("one", "three"):
        insulad.virsh("destroy", name)
    insulad.virsh("net-destroy", "pool")
    for number in range(2):
        insulad.host.run("ip", "link", "delete", f"up{number}")


def test_a_guest_is_a_port_of_its_network_and_counted(insulad: Insulad, lan: Path, busybox_root: Path) -> None:
    insulad.virsh("net-define", str(lan))
    insulad.virsh("net-start", "lan")
    card = f"<interface type='network'><mac address='{MAC}'/><source network='lan'/></interface>"
    insulad.define(domain_xml("web", busybox_root, extra=card))
    insulad.virsh("start", "web")
    (port,) = [line.strip() for line in out(insulad, "net-port-list", "lan").splitlines()[2:]]
    assert re.fullmatch(r"[0-9a-f-]{36}", port)
    shown = out(insulad, "net-port-dumpxml", "lan", port)
    for each in (port, "<name>web</name>", MAC, "<plug type='network' bridge='lan0'/>"):
        assert each in shown
    assert "connections='1'" in out(insulad, "net-dumpxml", "lan")
    live = out(insulad, "dumpxml", "web")
    assert f"<source network='lan' portid='{port}' bridge='lan0'/>" in live
    inactive = out(insulad, "dumpxml", "web", "--inactive")
    file = lan.with_name("shown.xml")
    file.write_text(re.sub(r"  <seclabel[^/]*(/>|>.*?</seclabel>)\n", "", live, flags=re.DOTALL))
    insulad.virsh("define", str(file))
    assert out(insulad, "dumpxml", "web", "--inactive") == inactive
    file.write_text("<interface" + live.partition("<interface")[2].partition("</interface>")[0] + "</interface>")
    insulad.virsh("update-device", "web", str(file), "--live", "--config")
    assert out(insulad, "dumpxml", "web") == live
    assert out(insulad, "dumpxml", "web", "--inactive") == inactive
    insulad.kill()
    insulad.start()
    assert out(insulad, "dumpxml", "web") == live
    assert out(insulad, "net-port-list", "lan").split()[-1] == port
    assert "master lan0" in insulad.host.run("ip", "-o", "link").stdout
    insulad.virsh("destroy", "web")
    assert out(insulad, "net-port-list", "lan").splitlines()[2:] == []
    assert "connections" not in out(insulad, "net-dumpxml", "lan")
    insulad.virsh("net-destroy", "lan")
    result = insulad.virsh("start", "web", check=False)
    assert result.returncode == 1
    assert "network 'lan' is not active" in result.stderr


def test_leases_of_a_network_without_guests_are_an_empty_table(insulad: Insulad, lan: Path) -> None:
    insulad.virsh("net-create", str(lan))
    heading, line = out(insulad, "net-dhcp-leases", "lan").splitlines()
    assert heading.split()[:2] == ["Expiry", "Time"]
    assert set(line) == {"-"}
    insulad.virsh("net-destroy", "lan")


def test_a_guest_of_the_busybox_image_gets_an_address_and_is_known_by_its_name(insulad: Insulad, lan: Path) -> None:
    insulad.virsh("net-create", str(lan))
    insula(insulad, "image", "build", "busybox")
    insula(insulad, "create", "web", "-i", "busybox", "--network", "lan")
    insulad.virsh("start", "web")
    until(lambda: "ipv4" in insulad.virsh("domifaddr", "web", "--source", "lease").stdout, "the lease", 30)
    until(lambda: "ipv4" in insulad.virsh("domifaddr", "web", "--source", "agent").stdout, "the address inside", 30)
    assert " web " in insulad.virsh("net-dhcp-leases", "lan").stdout
    insulad.virsh("destroy", "web")
    insula(insulad, "rm", "web")
    insula(insulad, "image", "rm", "busybox")


def test_an_address_that_a_guest_was_given_is_shown_with_its_card(
    insulad: Insulad, lan: Path, busybox_root: Path
) -> None:
    insulad.virsh("net-create", str(lan))
    card = f"<interface type='network'><mac address='{MAC}'/><source network='lan'/></interface>"
    insulad.define(domain_xml("web", busybox_root, extra=card))
    insulad.virsh("start", "web")
    said = inside(insulad, "web", "sh", "-c", "udhcpc -i eth0 -n -q -t 20 -T 1 -s /bin/true 2>&1")
    given = re.search(r"lease of (10\.9\.0\.\d+) obtained", said)
    assert given is not None, said

    def rows() -> list[str]:
        return out(insulad, "net-dhcp-leases", "lan").splitlines()[2:]

    (row,) = until(rows, "the lease, which dnsmasq writes behind its answer")
    assert MAC in row
    assert f"{given[1]}/24" in row
    assert "ipv4" in row
    assert out(insulad, "net-dhcp-leases", "lan", "52:54:00:00:00:99").splitlines()[2:] == []
    insulad.virsh("destroy", "web")
    insulad.virsh("net-destroy", "lan")


def test_what_happens_is_shown_as_events(insulad: Insulad, lan: Path) -> None:
    terminal = Terminal("virsh", "-c", insulad.uri, "net-event", "--event", "lifecycle", "--loop", "--timestamp")
    wanted = ["Defined", "Started", "Undefined", "Stopped"]
    try:
        # Once more, until virsh has registered: that cannot be seen from outside.
        def heard() -> bool:
            for words in (
                ("net-define", str(lan)),
                ("net-start", "lan"),
                ("net-undefine", "lan"),
                ("net-destroy", "lan"),
            ):
                insulad.virsh(*words)
            try:
                for each in wanted:
                    terminal.expect(f"event 'lifecycle' for network lan: {each}", 2)
            except AssertionError:
                return False
            return True

        until(heard, "events on virsh's screen", 30)
    finally:
        terminal.close()


def test_networks_survive_a_killed_daemon_and_are_mended_by_the_next(insulad: Insulad, lan: Path) -> None:
    insulad.virsh("net-define", str(lan))
    insulad.virsh("net-start", "lan")
    insulad.kill()
    assert "10.9.0.1/24" in addresses(insulad)
    insulad.host.run("ip", "address", "del", "10.9.0.1/24", "dev", "lan0")
    insulad.start()
    assert out(insulad, "net-list", "--name") == "lan"
    until(lambda: "10.9.0.1/24" in addresses(insulad), "the address being put back", 20)
    insulad.stop()
    assert "10.9.0.1/24" in addresses(insulad), "a daemon that ends leaves networks up"
    insulad.start()
    insulad.virsh("net-destroy", "lan")
    assert addresses(insulad) == ""


def test_what_is_taken_away_from_an_active_network_comes_back(insulad: Insulad, lan: Path) -> None:
    insulad.virsh("net-define", str(lan))
    insulad.virsh("net-start", "lan")
    insulad.host.run("ip", "address", "del", "10.9.0.1/24", "dev", "lan0")
    until(lambda: "10.9.0.1/24" in addresses(insulad), "the address being put back", 20)
    first = dnsmasq_of(insulad)
    insulad.host.run("ip", "link", "del", "lan0")
    until(lambda: "10.9.0.1/24" in addresses(insulad), "the bridge being made anew", 20)
    until(lambda: dnsmasq_of(insulad) not in (None, first), "its dnsmasq, which was bound to the former bridge", 20)
    before = dnsmasq_of(insulad)
    assert before is not None
    os.kill(before, signal.SIGKILL)
    until(lambda: dnsmasq_of(insulad) not in (None, before), "another dnsmasq", 20)
    insulad.virsh("net-destroy", "lan")
    assert dnsmasq_of(insulad) is None


def dnsmasq_of(insulad: Insulad) -> int | None:
    """Return the process that serves the network, None if there is none."""
    file = f"{insulad.layout.running_networks / UUID / 'dnsmasq.conf'}"
    for each in leaks.descendants():
        with contextlib.suppress(OSError):
            if file in Path(f"/proc/{each.pid}/cmdline").read_text():
                return each.pid
    return None


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (("10.9.0.9'", "10.8.0.9'"), "10.8.0.9"),
        (("10.9.0.1'", "10.9.0.300'"), "line 6"),
        (("<bridge name='lan0'/>", "<bridge name='a/b'/>"), "a/b"),
        (("</network>", ""), "line"),
    ],
    ids=["range-outside", "no-address", "no-name", "no-xml"],
)
def test_a_network_that_cannot_be_is_refused_with_what_to_change(
    insulad: Insulad, lan: Path, change: tuple[str, str], text: str
) -> None:
    lan.write_text(LAN.replace(*change))
    assert text in refused(insulad, "net-define", str(lan))
    assert out(insulad, "net-list", "--all", "--name") == ""


def test_a_subnet_that_the_host_reaches_otherwise_is_refused_and_nothing_is_left(insulad: Insulad, lan: Path) -> None:
    insulad.virsh("net-define", str(lan))
    insulad.host.run("ip", "link", "add", "up0", "type", "bridge")
    insulad.host.run("ip", "address", "add", "10.9.0.7/16", "dev", "up0")
    insulad.host.run("ip", "link", "set", "up0", "up")
    assert "10.9.0.0/24 collides with" in refused(insulad, "net-start", "lan")
    assert addresses(insulad) == ""
    assert out(insulad, "net-list", "--name") == ""
    insulad.host.run("ip", "link", "del", "up0")


ALIKE = (
    "net-define {lan}",
    "net-define {other}",
    "net-info lan",
    "net-list --all",
    "net-start lan",
    "net-list --inactive --name",
    "net-info lan",
    "net-uuid lan",
    "net-name {uuid}",
    "net-autostart lan",
    "net-info lan",
    "net-autostart --disable lan",
    "net-update lan add ip-dhcp-host {host} --live",
    "net-destroy lan",
    "net-update lan add ip-dhcp-host {host} --live",
    "net-info no",
    "net-dumpxml no",
    "net-start no",
    "net-destroy no",
    "net-uuid no",
    "net-undefine lan",
    "net-undefine lan",
    "net-create {lan}",
    "net-list --all",
    "net-destroy lan",
    "net-event --list",
)
"""Where libvirt's driver for tests does what its network driver does, too."""


def test_the_words_are_those_of_libvirts_own_driver(insulad: Insulad, lan: Path, scratch: Path) -> None:
    other = scratch / "other.xml"
    other.write_text(LAN.replace(UUID, UUID.replace("1", "9")))
    host = scratch / "host.xml"
    host.write_text(HOST)
    commands = [each.format(lan=lan, other=other, uuid=UUID, host=host) for each in ALIKE]
    ours = insulad.virsh("; ".join(commands), check=False)
    theirs = subprocess.run(
        ["virsh", "-c", "test:///default", "; ".join(["net-destroy default", "net-undefine default", *commands])],
        capture_output=True, text=True, check=False, timeout=patience(60), env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert ours.stderr.splitlines() == theirs.stderr.splitlines()
    assert _said(ours.stdout) == [each for each in _said(theirs.stdout) if "default" not in each]
    assert ours.returncode == theirs.returncode


def _said(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]
