"""Bridges of the host that go and come while guests are plugged into them."""

import asyncio
from collections.abc import Callable
from uuid import UUID

import pytest

from insula.engine.interfacespec import BridgePort, PortVlans
from insula.network.devicewatch import DeviceWatch
from insula.network.guestports import GuestPorts, RefusedPort
from tests.hostnet import HostNet
from tests.waiting import patience

GUEST = UUID(int=1)
PORTS = GuestPorts()


def told(hostnet: HostNet, device: str, *steps: tuple[Callable[[], object], bool]) -> None:
    """Follow a device as the daemon does, and take each step; what is told after it must be what stands beside it."""

    async def follow() -> None:
        heard: asyncio.Queue[tuple[UUID, str, bool]] = asyncio.Queue()
        watch = DeviceWatch(lambda *what: heard.put_nowait(what))
        try:
            watch.follow(GUEST, {device})
            await asyncio.sleep(0)
            for step, there in steps:
                assert heard.empty()
                step()
                assert await asyncio.wait_for(heard.get(), patience(10)) == (GUEST, device, there)
        finally:
            watch.close()

    with hostnet.host.network():
        asyncio.run(follow())


def commands(hostnet: HostNet, *words: str) -> Callable[[], object]:
    return lambda: [hostnet.host.run("ip", *each.split()) for each in words]


def test_a_bridge_that_goes_is_told_and_one_of_its_name_however_it_comes(hostnet: HostNet) -> None:
    hostnet.host.run("ip", "link", "add", "br7", "type", "bridge")
    told(
        hostnet,
        "br7",
        (commands(hostnet, "link add other type bridge", "link delete br7"), False),
        (commands(hostnet, "link add br8 type bridge", "link add br7 type bridge"), True),
        (commands(hostnet, "link delete br7"), False),
        (commands(hostnet, "link set other name br7"), True),
    )
    for each in ("br7", "br8"):
        hostnet.host.run("ip", "link", "delete", each)


def test_a_guests_end_comes_back_to_its_bridge_isolated(hostnet: HostNet) -> None:
    host = hostnet.host
    host.run("ip", "link", "add", "br7", "type", "bridge")
    port = BridgePort(isolated=True)
    with hostnet.guest("vnet0", "br7"):
        host.run("ip", "link", "delete", "br7")
        assert host.inside(lambda: PORTS.unplugged(["vnet0", "nosuch0"])) == {"vnet0"}
        gone = RefusedPort(reason="the host has no bridge 'br7'")
        assert host.inside(lambda: PORTS.plug("br7", {"vnet0": port})) == {"vnet0": gone}
        host.run("ip", "link", "add", "br7", "type", "bridge")
        assert host.inside(lambda: PORTS.plug("br7", {"vnet0": port, "nosuch0": port})) == {}
        assert host.inside(lambda: PORTS.unplugged(["vnet0"])) == frozenset()
        assert "isolated on" in host.run("bridge", "-d", "link", "show", "dev", "vnet0").stdout
        assert ",UP" in host.run("ip", "link", "show", "vnet0").stdout
    host.run("ip", "link", "delete", "br7")


def test_a_bridge_that_tells_no_vlans_apart_does_not_get_one_who_is_in_a_vlan(hostnet: HostNet) -> None:
    host, port = hostnet.host, BridgePort(vlans=PortVlans(native=42))
    host.run("ip", "link", "add", "br7", "type", "bridge")
    with hostnet.guest("vnet0"):
        (refused,) = host.inside(lambda: PORTS.plug("br7", {"vnet0": port})).values()
        assert refused == RefusedPort(reason="the bridge 'br7' does not tell VLANs apart any more")
        assert host.inside(lambda: PORTS.unplugged(["vnet0"])) == {"vnet0"}
    host.run("ip", "link", "delete", "br7")


@pytest.mark.requires("net.bridge-vlans")
def test_a_guests_end_comes_back_into_its_vlan(hostnet: HostNet) -> None:
    host, port = hostnet.host, BridgePort(vlans=PortVlans(native=42))
    host.run("ip", "link", "add", "br7", "type", "bridge", "vlan_filtering", "1")
    with hostnet.guest("vnet0"):
        assert host.inside(lambda: PORTS.plug("br7", {"vnet0": port})) == {}
        assert "42 PVID" in host.run("bridge", "vlan", "show", "dev", "vnet0").stdout
    host.run("ip", "link", "delete", "br7")


def test_what_an_administrator_put_on_another_bridge_stays_there(hostnet: HostNet) -> None:
    host = hostnet.host
    for each in ("br7", "br8"):
        host.run("ip", "link", "add", each, "type", "bridge")
    with hostnet.guest("vnet0", "br8"):
        assert host.inside(lambda: PORTS.plug("br7", {"vnet0": BridgePort()})) == {}
        assert "master br8" in host.run("ip", "link", "show", "vnet0").stdout
    for each in ("br7", "br8"):
        host.run("ip", "link", "delete", each)
