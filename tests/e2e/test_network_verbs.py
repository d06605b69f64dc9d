"""`insula network` on a real host: a working network after one command, guests in it, and all of it gone again."""

import json
import re
from ipaddress import IPv4Network, ip_network
from pathlib import Path

import pytest

from tests.e2e.guests import insula
from tests.insulad import Insulad

pytestmark = pytest.mark.requires("virsh", "nft", "dnsmasq")


def info(insulad: Insulad, name: str = "default") -> dict[str, object]:
    found: dict[str, object] = json.loads(insula(insulad, "network", "info", name, "--json").stdout)
    return found


def test_a_network_is_made_in_one_command_and_is_free_of_what_the_host_reaches(insulad: Insulad) -> None:
    insulad.host.run("ip", "link", "add", "vpn0", "type", "bridge")
    insulad.host.run("ip", "link", "set", "vpn0", "up")
    insulad.host.run("ip", "address", "add", "192.168.122.77/24", "dev", "vpn0")
    assert insula(insulad, "network", "create").stdout == "default\n"
    made = info(insulad)
    ipv4, ipv6 = (ip_network(each) for each in made["subnets"])  # type: ignore[attr-defined]
    assert (made["active"], made["autostart"], made["mode"]) == (True, True, "nat")
    assert isinstance(ipv4, IPv4Network)
    assert not ipv4.overlaps(IPv4Network("192.168.122.0/24"))
    assert ipv6.subnet_of(ip_network("fd00::/8"))  # type: ignore[arg-type]
    assert f"{ipv4[1]}/24" in insulad.host.run("ip", "address", "show", "dev", str(made["bridge"])).stdout
    again = insula(insulad, "network", "create", check=False)
    assert (again.returncode, "network 'default' already exists" in again.stderr) == (3, True)
    assert insula(insulad, "network", "create", "second").stdout == "second\n"
    assert info(insulad, "second")["subnets"] != made["subnets"]
    assert insula(insulad, "network", "rm", "--force", "default", "second").returncode == 0
    assert insulad.virsh("net-list", "--all", "--name").stdout.split() == []
    insulad.host.run("ip", "link", "del", "vpn0")


def test_a_guest_is_given_a_card_in_a_network_by_its_name(insulad: Insulad, busybox_root: Path) -> None:
    insula(insulad, "network", "create", "lan", "--mode", "none")
    insula(insulad, "create", "web", "--root", str(busybox_root), "--network", "lan", "--start")
    assert info(insulad, "lan")["guests"] == ["web"]
    assert re.search(r"lan\s+active\s+none\s+virbr\d+\s.*\s1\s+yes", insula(insulad, "network", "ls").stdout)
    stopped = insula(insulad, "network", "stop", "lan")
    assert "lan: web had it, and lost it until it starts again" in stopped.stderr
    insula(insulad, "rm", "--force", "web")
    missing = insula(insulad, "create", "web", "--root", str(busybox_root), "--network", "wan", check=False)
    assert missing.returncode == 4
    assert "no network is called 'wan'; there are lan; make one with: insula network create wan" in missing.stderr


def test_a_network_is_changed_an_element_at_a_time(insulad: Insulad) -> None:
    insula(insulad, "network", "create", "lan", "--subnet", "10.77.0.0/24", "--no-ipv6")
    host = "<host mac='52:54:00:00:00:09' ip='10.77.0.9'/>"
    insula(insulad, "network", "update", "lan", "add", "ip-dhcp-host", host)
    for words in ((), ("--inactive",)):
        assert "10.77.0.9" in insula(insulad, "network", "xml", "lan", *words).stdout
    assert insula(insulad, "network", "leases").stdout.splitlines()[0].split()[0] == "ADDRESS"
    insula(insulad, "network", "stop", "lan")
    insula(insulad, "network", "start", "lan")
    assert "10.77.0.9" in insula(insulad, "network", "xml", "lan").stdout
