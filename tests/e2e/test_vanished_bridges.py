"""Bridges go and come below running guests, with insulad there or not: each card is on its bridge, or is named."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.guests import domain_xml
from tests.insulad import Insulad
from tests.testhost import TestHost
from tests.waiting import until

pytestmark = pytest.mark.requires("virsh", "nft", "dnsmasq")

CARD = "<interface type='{type}'><source {type}='{source}'/><target dev='vnet0'/></interface>"
NETWORK = """
<network><name>lan</name><bridge name='lan0' stp='off'/><ip address='10.9.0.1' netmask='255.255.255.0'/></network>
"""
NAMED = "its card eth0 (vnet0 on the host) is plugged into nothing"


@pytest.fixture
def own_bridge(test_host: TestHost) -> Iterator[str]:
    test_host.run("ip", "link", "add", "br7", "type", "bridge")
    yield "br7"
    test_host.run("ip", "link", "delete", "br7", check=False)


def begun(insulad: Insulad, root: Path, *, kind: str, source: str) -> None:
    insulad.define(domain_xml("web", root, extra=CARD.format(type=kind, source=source)))
    insulad.virsh("start", "web")


def is_on(test_host: TestHost, bridge: str) -> bool:
    return f" master {bridge} " in test_host.run("ip", "link", "show", "vnet0").stdout


def messages(insulad: Insulad) -> str:
    return insulad.virsh("dominfo", "web").stdout


def test_a_hosts_own_bridge_that_is_made_again_has_its_guests_again(
    insulad: Insulad, test_host: TestHost, busybox_root: Path, own_bridge: str
) -> None:
    begun(insulad, busybox_root, kind="bridge", source=own_bridge)
    assert is_on(test_host, own_bridge)
    test_host.run("ip", "link", "delete", own_bridge)
    until(lambda: NAMED in messages(insulad), "the guest's card being named")
    assert "the host has no bridge 'br7'" in messages(insulad)
    test_host.run("ip", "link", "add", own_bridge, "type", "bridge")
    until(lambda: is_on(test_host, own_bridge), "the guest's card being plugged in")
    until(lambda: NAMED not in messages(insulad), "nothing being named any more")


def test_a_bridge_that_went_and_came_while_no_daemon_lived_is_seen_by_the_next(
    insulad: Insulad, test_host: TestHost, busybox_root: Path, own_bridge: str
) -> None:
    begun(insulad, busybox_root, kind="bridge", source=own_bridge)
    insulad.kill()
    test_host.run("ip", "link", "delete", own_bridge)
    insulad.start()
    until(lambda: NAMED in messages(insulad), "the guest's card being named")
    insulad.kill()
    test_host.run("ip", "link", "add", own_bridge, "type", "bridge")
    insulad.start()
    until(lambda: is_on(test_host, own_bridge), "the guest's card being plugged in")
    until(lambda: NAMED not in messages(insulad), "nothing being named any more")


def test_a_networks_bridge_that_is_deleted_is_there_again_with_its_guests(
    insulad: Insulad, test_host: TestHost, busybox_root: Path, scratch: Path
) -> None:
    document = scratch / "lan.xml"
    document.write_text(NETWORK)
    insulad.virsh("net-create", str(document))
    begun(insulad, busybox_root, kind="network", source="lan")
    test_host.run("ip", "link", "delete", "lan0")
    until(lambda: is_on(test_host, "lan0"), "the guest's card being plugged in")
    until(lambda: NAMED not in messages(insulad), "nothing being named any more")
    insulad.virsh("net-destroy", "lan")
    until(lambda: NAMED in messages(insulad), "the guest's card being named")
    insulad.virsh("net-create", str(document))
    until(lambda: is_on(test_host, "lan0"), "the guest's card being plugged in")
    until(lambda: NAMED not in messages(insulad), "nothing being named any more")
    insulad.virsh("destroy", "web")
    insulad.virsh("net-destroy", "lan")
