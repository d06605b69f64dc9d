"""Links of containers that run: changed inside, without any program of the guest's, and put back where that fails."""

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from insula import Address, Container, Engine, LinkChange, NetworkKind, Route, VethInterface
from insula.engine.keeper.link import completed
from insula.engine.launch.holdings import FormerLink, Interfaces
from insula.engine.launch.runningcontainer import ContainerRecord, Running
from insula.errors import InvalidArgumentError, OperationFailedError, OperationInvalidError
from insula.network.netlink import NetlinkPerformer
from tests.exchanges import answered
from tests.testhost import TestHost
from tests.waiting import until

pytestmark = pytest.mark.requires("userns", "busybox", "overlay.idmapped")

IDLE = ("/bin/sleep", "100000")
OURS = (Address(address="10.0.0.2", prefix=24), Address(address="2001:db8::2", prefix=64))
CARD = VethInterface(
    guest="eth0",
    bridge="br0",
    mac="52:54:00:12:34:56",
    addresses=OURS,
    routes=(Route(gateway="10.0.0.1"), Route(gateway="2001:db8::1", destination="2001:db8:1::", prefix=48)),
)
OTHER = Address(address="10.0.0.3", prefix=24)
FAR = Route(gateway="10.0.0.1", destination="192.0.2.0", prefix=24)
MISSING = Route(gateway="10.0.0.1", destination="203.0.113.0", prefix=24)
"""No such route is there to be removed."""


@pytest.fixture
def engine(test_host: TestHost) -> Iterator[Engine]:
    test_host.run("ip", "link", "add", "br0", "type", "bridge")
    test_host.run("ip", "link", "set", "br0", "up")
    test_host.run("ip", "address", "add", "10.0.0.1/24", "dev", "br0")
    with test_host.network():
        performer = NetlinkPerformer()
    with closing(performer), Engine(interfaces=performer) as made:
        yield made
    test_host.run("ip", "link", "delete", "br0")


@pytest.fixture(params=[False, True], ids=["unprivileged", "privileged"])
def guest(request: pytest.FixtureRequest, busybox_root: Path, engine: Engine) -> Iterator[Container]:
    privileged = bool(request.param)
    with Container(
        busybox_root, init=IDLE, ephemeral=True, privileged=privileged, interfaces=(CARD,), engine=engine
    ) as made:
        yield made


_PASSING = re.compile(r" tentative| linkdown|NO-CARRIER,|,LOWER_UP| state \w+")
"""What is told of a carrier, which comes some time after its link was switched on, and of addresses until then."""


def network(guest: Container) -> str:
    """Return all of its network as the kernel has it, but for counters and what time changes."""
    script = "ip link show; ip address show; ip route show table all; ip -6 route show table all"
    said = guest.run(["sh", "-c", script], check=True).stdout.decode()
    lines = (_PASSING.sub("", line).rstrip() for line in said.splitlines())
    passing = ("fe80:", "ff00:", "valid_lft")
    return "\n".join(line for line in lines if not any(each in line for each in passing))


def again(guest: Container, before: str) -> None:
    """Wait for a network that is as it was: some routes come with the carrier, which a busy host is late with."""
    until(lambda: sorted(network(guest).splitlines()) == sorted(before.splitlines()), "its network being as it was")


def running(guest: Container) -> Running:
    return guest._life.alive()


def record(guest: Container) -> ContainerRecord:
    return running(guest).record


def test_addresses_routes_and_mtu_change_and_the_record_says_so(guest: Container, test_host: TestHost) -> None:
    guest.configure_link(
        "eth0", LinkChange(mtu=1400, add_addresses=(OTHER,), remove_addresses=OURS[1:], add_routes=(FAR,))
    )
    there = network(guest)
    assert "mtu 1400" in there and "10.0.0.3/24" in there and "192.0.2.0/24 via 10.0.0.1" in there
    assert "2001:db8::2" not in there
    answered(test_host.pings, "10.0.0.3")
    (card,) = record(guest).spec.interfaces
    assert isinstance(card, VethInterface)
    assert (card.mtu, card.addresses, card.routes[-1]) == (1400, (OURS[0], OTHER), FAR)
    assert not any(isinstance(each, FormerLink) for each in record(guest).holdings)
    guest.configure_link("eth0", LinkChange(remove_addresses=(OTHER,), remove_routes=(FAR,)))
    assert "10.0.0.3" not in network(guest) and "192.0.2.0/24" not in network(guest)


def test_what_a_link_was_given_comes_back_with_it(guest: Container) -> None:
    before = network(guest)
    guest.configure_link("eth0", LinkChange(up=False))
    assert "default via" not in network(guest)
    (card,) = record(guest).spec.interfaces
    assert isinstance(card, VethInterface) and not card.guest_up and card.up
    guest.configure_link("eth0", LinkChange(up=True))
    again(guest, before)
    assert record(guest).spec.interfaces == (CARD,)


@pytest.mark.machine("capabilities")
def test_a_link_has_its_new_name_everywhere_and_keeps_what_it_has(guest: Container) -> None:
    before = network(guest)
    guest.configure_link("eth0", LinkChange(name="lan0"))
    assert sorted(network(guest).replace("lan0", "eth0").splitlines()) == sorted(before.splitlines())
    assert [each.guest for each in record(guest).spec.interfaces] == ["lan0"]
    (held,) = [each for each in record(guest).holdings if isinstance(each, Interfaces)]
    assert [each.guest for each in held.connected] == ["lan0"]
    with pytest.raises(OperationInvalidError, match="the guest has no link 'eth0'"):
        guest.configure_link("eth0", LinkChange(up=False))


def test_loopback_and_what_the_guest_made_itself_can_be_changed_too(guest: Container) -> None:
    guest.run(["ip", "link", "add", "own0", "type", "bridge"], check=True)
    guest.configure_link("own0", LinkChange(up=True, add_addresses=(Address(address="198.51.100.1", prefix=32),)))
    guest.configure_link("lo", LinkChange(mtu=9000))
    assert "198.51.100.1" in network(guest) and "mtu 9000" in network(guest)
    assert record(guest).spec.interfaces == (CARD,)


@pytest.mark.parametrize(
    "change",
    [
        LinkChange(add_addresses=(OTHER,), add_routes=(FAR, Route(gateway="10.0.0.7"))),
        LinkChange(up=False, add_routes=(FAR,)),
        LinkChange(name="own0", mtu=1300),
        LinkChange(name="lan0", mtu=1279, remove_routes=(MISSING,)),
        LinkChange(name="lan0", mtu=1279, up=False, add_addresses=(OTHER,), add_routes=(FAR,)),
        LinkChange(remove_addresses=OURS, name="lan0", mtu=70_000_000),
        LinkChange(remove_routes=CARD.routes, remove_addresses=(OURS[0], OTHER)),
    ],
)
def test_a_change_that_the_kernel_refuses_in_part_leaves_the_link_as_it_was(
    guest: Container, change: LinkChange
) -> None:
    guest.run(["ip", "link", "add", "own0", "type", "bridge"], check=True)
    before, recorded = network(guest), record(guest)
    with pytest.raises(OperationFailedError, match="cannot change the link 'eth0': ") as caught:
        guest.configure_link("eth0", change)
    assert not getattr(caught.value, "__notes__", [])
    again(guest, before)
    assert record(guest) == recorded


def test_a_change_that_a_daemon_did_not_live_to_tell_of_is_taken_back_by_the_next(guest: Container) -> None:
    """Its record is written when the link is about to change, and never again."""
    before, recorded = network(guest), record(guest)
    written: list[ContainerRecord] = []

    def write(now: ContainerRecord) -> None:
        if written:
            raise KeyboardInterrupt
        written.append(now)

    changes, handle = guest._life.engine().launcher.changes, running(guest)
    change = LinkChange(name="lan0", mtu=1279, up=False, remove_addresses=OURS[:1], add_addresses=(OTHER,))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(type(changes._release), "walk", _nothing)
        with pytest.raises(KeyboardInterrupt):
            completed(changes.change_link(handle, "eth0", change, write))
    assert "lan0" in network(guest) and "10.0.0.3" in network(guest)
    handle.record = ContainerRecord.decode(written[0].encode())
    completed(changes.settle(handle))
    again(guest, before)
    assert handle.record == recorded


async def _nothing(*_: object, **__: object) -> list[OSError]:
    return []


def test_what_is_there_already_or_says_nothing_is_refused_before_anything_happens(
    guest: Container, busybox_root: Path, engine: Engine
) -> None:
    before = network(guest)
    for change, reason in (
        (LinkChange(add_addresses=OURS[:1]), "it has the address 10.0.0.2 already"),
        (LinkChange(add_routes=CARD.routes[:1]), "the default route by 10.0.0.1 goes through it already"),
    ):
        with pytest.raises(OperationInvalidError, match=reason):
            guest.configure_link("eth0", change)
    with pytest.raises(InvalidArgumentError, match="says nothing"):
        guest.configure_link("eth0", LinkChange())
    guest.freeze()
    with pytest.raises(OperationInvalidError, match="is paused: resume it first"):
        guest.configure_link("eth0", LinkChange(mtu=1400))
    guest.thaw()
    assert network(guest) == before
    with (
        Container(busybox_root, init=IDLE, ephemeral=True, network=NetworkKind.HOST, engine=engine) as other,
        pytest.raises(OperationInvalidError, match="has no network of its own"),
    ):
        other.configure_link("lo", LinkChange(mtu=1400))
