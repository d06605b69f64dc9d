"""The step that changes a link: what it announces, and whom it asks."""

import os
from collections.abc import Sequence

import pytest

from insula.engine.interfacespec import Address, Route
from insula.engine.launch.holdings import FormerLink
from insula.engine.linkchange import LinkChange, LinkSnapshot
from insula.engine.steps.host.guestlinks import ChangeLink
from insula.errors import OperationFailedError
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
