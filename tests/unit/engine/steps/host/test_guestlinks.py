"""The step that changes a link: what it announces, and whom it asks."""

import os
from collections.abc import Sequence
from dataclasses import replace

import pytest

from insula.engine.interfaceperformer import ConnectedInterface, HelperPlace
from insula.engine.interfacespec import Address, Interface, Route, VethInterface
from insula.engine.launch.holdings import FormerLink, FormerPort, HalfPlugged, Interfaces
from insula.engine.linkchange import LinkChange, LinkSnapshot
from insula.engine.steps.host.guestlinks import ChangeLink, ChangePort, PlugInterface, UnplugInterface
from insula.errors import OperationFailedError
from insula.kernel.cgroups import Cgroup, Hierarchies
from insula.kernel.fds import Fd
from tests.unit.engine.desk import Network
from tests.unit.engine.steps.host.sites import context, perform

STATE = LinkSnapshot(index=2, name="eth0", up=True, mtu=1500)
CHANGE = LinkChange(mtu=1400)
STEP = ChangeLink(why="test", name="eth0", former=STATE, change=CHANGE, routes=(Route(gateway="10.0.0.1"),))


class Links(Network):
    """Remembers what was asked for, and in which namespace."""

    asked: tuple[object, ...] = ()

    async def change_link(
        self,
        former: LinkSnapshot,
        change: LinkChange,
        addresses: Sequence[Address],
        routes: Sequence[Route],
        *,
        network: int,
    ) -> None:
        self.asked = (former, change, addresses, routes, os.readlink(f"/proc/self/fd/{network}"))


def test_what_the_link_was_is_announced_and_held_while_it_is_changed_in_the_guests_network() -> None:
    links = Links()
    at = context(performer=links)
    at.process = Fd(os.open(f"/proc/{os.getpid()}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
    held = (FormerLink(link=STATE, change=CHANGE),)
    assert STEP.announce(1) == held
    assert perform(STEP, at) == held
    assert links.asked == (STATE, CHANGE, (), STEP.routes, os.readlink("/proc/self/ns/net"))
    at.close()


def test_where_nobody_changes_interfaces_it_fails() -> None:
    with pytest.raises(OperationFailedError, match="nobody here to change"):
        perform(STEP, context())


CARD = VethInterface(guest="eth1", bridge="br0", mac="52:54:00:00:00:01")
PLUGGED = ConnectedInterface(guest="eth1", host="vnet7", host_index=7, bridge="br0", mac="52:54:00:00:00:01")


class Plugs(Network):
    """Remembers what was plugged."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[object] = []

    def plug(self, interface: Interface, place: HelperPlace, *, network: int) -> ConnectedInterface:
        self.asked.append(interface)
        return PLUGGED

    def unplug(self, connected: ConnectedInterface, *, network: int) -> None:
        self.asked.append(connected)

    def change_port(self, connected: ConnectedInterface, former: Interface, wanted: Interface, *, network: int) -> None:
        self.asked += (connected, former, wanted)


def test_an_interface_is_announced_half_and_held_once_it_is_plugged_in() -> None:
    plugs, otherwise = Plugs(), replace(CARD, bridge="br1")
    at = context(performer=plugs)
    at.process = Fd(os.open(f"/proc/{os.getpid()}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
    at.group = Cgroup(Hierarchies(), "web")
    plug = PlugInterface(why="test", interface=CARD)
    assert plug.announce(1) == (HalfPlugged(interface=CARD),)
    assert perform(plug, at) == (Interfaces(connected=(PLUGGED,)),)
    change = ChangePort(why="test", connected=PLUGGED, former=CARD, interface=otherwise)
    assert (
        change.announce(1) == perform(change, at) == (FormerPort(connected=PLUGGED, interface=CARD, wanted=otherwise),)
    )
    unplug = UnplugInterface(why="test", connected=PLUGGED)
    assert unplug.announce(1) == perform(unplug, at) == ()
    assert plugs.asked == [CARD, PLUGGED, CARD, otherwise, PLUGGED]
    assert str(unplug) == "disconnect eth1"
    at.close()
