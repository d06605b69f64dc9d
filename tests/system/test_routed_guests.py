"""Guests to whose addresses the host routes, without a bridge: neighbours find them, and they find their gateway."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from insula import Address, Container, Engine, Route, VethInterface
from insula.engine.interfacespec import RoutedEnd
from insula.network.netlink import NetlinkPerformer
from tests.exchanges import answered
from tests.hostnet import BEYOND, BEYOND_6, GATEWAY, GATEWAY_6, HOST_ADDRESS, HostNet
from tests.waiting import until

pytestmark = pytest.mark.requires("userns", "busybox", "overlay.idmapped")

IDLE = ("/bin/sleep", "100000")
OWN, OWN_6 = "203.0.113.7", "2001:db8:113::7"
CARD = VethInterface(
    guest="eth0",
    host="web0",
    mac="52:54:00:12:34:56",
    addresses=(Address(address=OWN, prefix=32), Address(address=OWN_6, prefix=128)),
    routes=(Route(gateway=GATEWAY), Route(gateway=GATEWAY_6)),
    routed=RoutedEnd(),
)


@pytest.fixture
def engine(hostnet: HostNet) -> Iterator[Engine]:
    with hostnet.host.network():
        performer = NetlinkPerformer()
    with closing(performer), Engine(interfaces=performer) as made:
        yield made


def reaches(guest: Container, address: str) -> bool:
    return guest.run(["ping", "-c", "1", "-W", "2", address]).returncode == 0


def proxies(net: HostNet) -> str:
    told = net.host.run("ip", "neighbour", "show", "proxy").stdout
    return told + net.host.run("ip", "-6", "neighbour", "show", "proxy").stdout


def test_a_guest_with_single_addresses_of_the_uplinks_network_is_found_and_finds_its_gateway(
    hostnet: HostNet, busybox_root: Path, engine: Engine
) -> None:
    with Container(busybox_root, init=IDLE, ephemeral=True, interfaces=(CARD,), engine=engine) as guest:
        answered(hostnet.outside.pings, OWN, OWN_6)
        answered(partial(reaches, guest), GATEWAY, GATEWAY_6, BEYOND, BEYOND_6, HOST_ADDRESS)
        assert f"{OWN} dev eth0" in proxies(hostnet) and f"{OWN_6} dev eth0" in proxies(hostnet)
        assert guest._life.alive().record.connected[0].proxied == ((OWN, "eth0"), (OWN_6, "eth0"))
    until(lambda: proxies(hostnet).strip() == "", "nobody being answered for any more")


def test_one_that_is_attached_is_routed_to_until_it_is_detached(
    hostnet: HostNet, busybox_root: Path, engine: Engine
) -> None:
    with Container(busybox_root, init=IDLE, ephemeral=True, engine=engine) as guest:
        guest.attach_interface(CARD)
        answered(hostnet.outside.pings, OWN)
        guest.detach_interface("eth0")
        assert proxies(hostnet).strip() == ""
        assert OWN not in hostnet.host.run("ip", "route").stdout


def test_the_hosts_end_has_the_addresses_and_routes_it_is_given(
    hostnet: HostNet, busybox_root: Path, engine: Engine
) -> None:
    routed = RoutedEnd(
        addresses=(Address(address="10.5.0.1", prefix=32), Address(address="fd05::1", prefix=128)),
        routes=(Route(gateway="10.5.0.7", destination="10.6.0.0", prefix=16),),
    )
    card = replace(
        CARD,
        addresses=(Address(address="10.5.0.7", prefix=32), Address(address="fd05::7", prefix=128)),
        routes=(Route(gateway="10.5.0.1"), Route(gateway="fd05::1")),
        routed=routed,
    )
    with Container(busybox_root, init=IDLE, ephemeral=True, interfaces=(card,), engine=engine) as guest:
        answered(partial(reaches, guest), "10.5.0.1", "fd05::1", HOST_ADDRESS)
        assert "10.6.0.0/16 via 10.5.0.7 dev web0" in hostnet.host.run("ip", "route").stdout
        assert proxies(hostnet).strip() == ""
    until(lambda: "10.5.0.7" not in hostnet.host.run("ip", "route").stdout, "its routes being gone")


def test_a_failure_leaves_nobody_answered_for(hostnet: HostNet, busybox_root: Path, engine: Engine) -> None:
    broken = replace(CARD, routes=CARD.routes * 2)
    with pytest.raises(Exception, match="File exists"):
        Container(busybox_root, init=IDLE, ephemeral=True, interfaces=(broken,), engine=engine).start()
    assert proxies(hostnet).strip() == ""
    assert "web0" not in hostnet.host.run("ip", "link").stdout
