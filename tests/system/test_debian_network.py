"""Debian guests on a bridge: cards ask for addresses as our images have it, unless the definition gives them."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from insula import Container, Engine, VethInterface
from insula.engine.interfacespec import Address
from insula.engine.spec import OverlayRoot
from insula.network.netlink import NetlinkPerformer
from insula.storage.builders.debiannetwork import configure_network
from tests.waiting import until

RELEASES = [pytest.param(release, marks=pytest.mark.requires(f"debian-{release}-image")) for release in ("12", "13")]

pytestmark = pytest.mark.requires("userns", "overlay.idmapped", "iproute2", "dnsmasq")
LEASES = (
    *(
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--port=0",
        "--no-ping",
        "--bind-interfaces",
        "--interface=dbr0",
    ),
    *("--dhcp-range=10.78.0.100,10.78.0.110,1h", "--dhcp-option=option:dns-server,10.78.0.53", "--leasefile-ro"),
    *("--user=root", "--pid-file="),
)


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


@pytest.fixture
def bridge() -> Iterator[str]:
    """A bridge, 10.78.0.1, on which somebody gives out leases."""
    ip("link", "add", "dbr0", "type", "bridge")
    ip("address", "add", "10.78.0.1/24", "dev", "dbr0")
    ip("link", "set", "dbr0", "up")
    with subprocess.Popen(["dnsmasq", *LEASES]) as server:
        yield "dbr0"
        server.kill()
    ip("link", "delete", "dbr0")


@pytest.fixture
def engine() -> Iterator[Engine]:
    performer = NetlinkPerformer()
    with closing(performer), Engine(interfaces=performer) as made:
        yield made


@pytest.mark.parametrize("release", RELEASES)
def test_cards_ask_for_addresses_but_for_those_that_have_one(
    bridge: str, engine: Engine, debian_root: Callable[[str], Path], scratch: Path, release: str
) -> None:
    image = debian_root(release)
    for name in ("upper/etc", "upper/usr/lib/systemd", "work"):
        (scratch / name).mkdir(parents=True)
    # What the builder does to a root that it has just made: it looks for the program.
    program = scratch / "upper/usr/lib/systemd/systemd-networkd"
    program.touch()
    configure_network(scratch / "upper")
    program.unlink()
    root = OverlayRoot(lower=(str(image),), upper=str(scratch / "upper"), work=str(scratch / "work"))
    cards = (
        VethInterface(guest="eth0", bridge=bridge),
        VethInterface(guest="lan0", bridge=bridge, addresses=(Address(address="10.78.0.7", prefix=24),)),
    )
    with Container(root, name="debian", engine=engine, interfaces=cards) as guest:

        def addresses(card: str) -> list[str]:
            said = guest.run(["ip", "-o", "-4", "address", "show", "dev", card]).stdout.decode()
            return [line.split()[3] for line in said.splitlines()]

        until(lambda: [each for each in addresses("eth0") if each.startswith("10.78.0.1")], "a lease", 60)
        assert addresses("lan0") == ["10.78.0.7/24"]

        def states() -> list[str]:
            """What networkd says of the card, once it says anything: addresses are there before the bus is."""
            told = guest.run(["networkctl", "list", "--no-legend"]).stdout.decode()
            return [line.split()[4] for line in told.splitlines() if "lan0" in line and "pending" not in line]

        assert until(states, "an answer of networkd", 60) == ["unmanaged"]
        leases = ["sh", "-c", "cat /run/systemd/netif/leases/*"]
        until(lambda: b"DNS=10.78.0.53" in guest.run(leases).stdout, "the lease being written down", 60)
