"""Cards on top of a device of the host, macvlan and ipvlan: who reaches whom in which mode, told by packets."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import pytest

from insula.engine.interfacespec import Address, Interface, IpvlanInterface, IpvlanLayer, MacvlanInterface, MacvlanMode
from insula.errors import OperationFailedError
from insula.network.netlink import NetlinkPerformer
from tests.exchanges import answered
from tests.hostnet import GATEWAY, HOST_ADDRESS, UPLINK, HostNet
from tests.system.test_network import Guest, Site

pytestmark = pytest.mark.requires("iproute2", "busybox")

FIRST, SECOND = "203.0.113.11", "203.0.113.12"
FIRST_6, SECOND_6 = "2001:db8:113::11", "2001:db8:113::12"
GATEWAY_6 = "2001:db8:113::1"


@dataclass(frozen=True, kw_only=True)
class Uplinked:
    """A host whose guests' cards stand on its uplink."""

    net: HostNet
    site: Site

    def guest(self, card: Interface) -> Guest:
        guest = self.site.guest()
        self.site.connect(guest, card)
        return guest


@pytest.fixture
def uplinked(hostnet: HostNet) -> Iterator[Uplinked]:
    with ExitStack() as stack:
        with hostnet.host.network():
            performer = NetlinkPerformer()
        stack.callback(performer.close)
        yield Uplinked(net=hostnet, site=Site(host=hostnet.host, performer=performer, stack=stack))


def addresses(*own: str) -> tuple[Address, ...]:
    return tuple(Address(address=each, prefix=64 if ":" in each else 24) for each in own)


def on_macvlan(number: int, mode: MacvlanMode) -> MacvlanInterface:
    own = addresses(FIRST) if number == 1 else addresses(SECOND)
    return MacvlanInterface(guest="eth0", device=UPLINK, mode=mode, addresses=own)


def on_ipvlan(number: int, layer: IpvlanLayer) -> IpvlanInterface:
    own = addresses(FIRST, FIRST_6) if number == 1 else addresses(SECOND, SECOND_6)
    return IpvlanInterface(guest="eth0", device=UPLINK, layer=layer, addresses=own)


def reaches(guest: Guest, address: str) -> bool:
    words = f"busybox ping -c 1 -W 1 {address} >&2 && echo yes || echo no"
    return guest.run("sh", "-c", words).strip() == "yes"


@pytest.mark.machine("links")
@pytest.mark.parametrize("mode", [MacvlanMode.BRIDGE, MacvlanMode.PRIVATE, MacvlanMode.VEPA])
def test_macvlans_reach_what_is_beyond_their_device_and_one_another_as_their_mode_says(
    uplinked: Uplinked, mode: MacvlanMode
) -> None:
    first, second = (uplinked.guest(on_macvlan(number, mode)) for number in (1, 2))
    assert f"macvlan mode {mode.value}" in first.run("ip", "-d", "link", "show", "eth0")
    for guest in (first, second):
        answered(partial(reaches, guest), GATEWAY)
    assert not reaches(first, HOST_ADDRESS)
    if mode is MacvlanMode.BRIDGE:
        answered(partial(reaches, first), SECOND)
    else:
        assert not reaches(first, SECOND)


@pytest.mark.parametrize("mode", [MacvlanMode.PRIVATE, MacvlanMode.VEPA])
def test_a_switch_that_sends_frames_back_joins_macvlans_of_mode_vepa_and_no_private_ones(
    uplinked: Uplinked, mode: MacvlanMode
) -> None:
    outside = uplinked.net.outside
    outside.run("ip", "link", "add", "reflecting", "up", "type", "bridge")
    outside.run("ip", "link", "set", UPLINK, "master", "reflecting")
    outside.run("ip", "link", "set", UPLINK, "type", "bridge_slave", "hairpin", "on")
    first, _ = (uplinked.guest(on_macvlan(number, mode)) for number in (1, 2))
    if mode is MacvlanMode.VEPA:
        answered(partial(reaches, first), SECOND)
    else:
        assert not reaches(first, SECOND)


def test_one_that_has_the_device_to_itself_reaches_what_is_beyond_it(uplinked: Uplinked) -> None:
    answered(partial(reaches, uplinked.guest(on_macvlan(1, MacvlanMode.PASSTHROUGH))), GATEWAY)


@pytest.mark.requires("net.ipvlan")
@pytest.mark.parametrize("layer", IpvlanLayer)
def test_ipvlans_reach_what_is_beyond_their_device_and_one_another(uplinked: Uplinked, layer: IpvlanLayer) -> None:
    """Above layer 2 nobody is asked for by ARP or NDP: what is beyond is told that the host leads there."""
    first, second = (uplinked.guest(on_ipvlan(number, layer)) for number in (1, 2))
    assert f"ipvlan  mode {layer.value}" in first.run("ip", "-d", "link", "show", "eth0")
    if layer is not IpvlanLayer.L2:
        outside, host = uplinked.net.outside, uplinked.net.host
        told = host.run("cat", f"/sys/class/net/{UPLINK}/address").stdout.strip()
        for each in (FIRST, FIRST_6, SECOND, SECOND_6):
            outside.run("ip", "neigh", "replace", each, "lladdr", told, "dev", UPLINK)
    for guest, other in ((first, (SECOND, SECOND_6)), (second, (FIRST, FIRST_6))):
        answered(partial(reaches, guest), GATEWAY, GATEWAY_6, *other)


@pytest.mark.requires("net.ipvlan")
def test_a_device_has_either_ipvlans_or_macvlans(uplinked: Uplinked) -> None:
    uplinked.guest(on_ipvlan(1, IpvlanLayer.L2))
    with pytest.raises(OperationFailedError, match=r"takes no macvlan .* devices with ipvlans take none"):
        uplinked.guest(on_macvlan(2, MacvlanMode.BRIDGE))
