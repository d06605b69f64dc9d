"""Ports of the host that lead to guests: `insula network forward`, on a network that is really made."""

import socket
from pathlib import Path

import pytest

from tests.e2e.guests import domain_xml, inside, insula
from tests.insulad import Insulad
from tests.waiting import scaled, until

pytestmark = pytest.mark.requires("virsh", "nft", "dnsmasq")

LAN = """
<network>
  <name>lan</name>
  <forward mode='nat'/>
  <bridge name='lan0'/>
  <ip address='10.9.0.1' netmask='255.255.255.0'/>
</network>
"""
CARD = "<interface type='network'><source network='lan'/><ip address='10.9.0.5' prefix='24'/></interface>"


def said_at(insulad: Insulad, port: int) -> str:
    """Return what is said at a port of the host's address on the bridge, nothing if nobody listens there."""
    with insulad.host.network():
        client = socket.socket()
    with client:
        client.settimeout(scaled(2))
        try:
            client.connect(("10.9.0.1", port))
            return client.recv(100).decode().strip()
        except OSError:
            return ""


def test_a_port_of_the_host_leads_to_a_guest_at_once_and_after_the_next_start(
    insulad: Insulad, scratch: Path, busybox_root: Path
) -> None:
    file = scratch / "lan.xml"
    file.write_text(LAN)
    insulad.virsh("net-define", str(file))
    insulad.virsh("net-start", "lan")
    insulad.define(domain_xml("web", busybox_root, extra=CARD))
    insulad.virsh("start", "web")
    serving = "while true; do echo served | nc -l -p 80; done </dev/null >/dev/null 2>&1 &"
    inside(insulad, "web", "sh", "-c", serving)
    assert said_at(insulad, 8080) == ""
    insula(insulad, "network", "forward", "lan", "8080:10.9.0.5:80")
    until(lambda: said_at(insulad, 8080) == "served", "the forwarded port being answered")
    listed = insula(insulad, "network", "forward", "lan").stdout.splitlines()
    assert listed[1].split() == ["tcp", "any", "8080", "10.9.0.5", "80"]
    insulad.restart()
    until(lambda: said_at(insulad, 8080) == "served", "the forwarded port being answered again")
    refused = insula(insulad, "network", "forward", "lan", "8080:10.9.0.6", check=False)
    assert refused.returncode != 0
    assert "8080" in refused.stderr
    insula(insulad, "network", "forward", "lan", "8080", "--remove")
    assert said_at(insulad, 8080) == ""
    insulad.virsh("destroy", "web")
    insulad.virsh("net-destroy", "lan")
