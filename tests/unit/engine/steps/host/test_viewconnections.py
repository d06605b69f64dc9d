"""Tests of insula.engine.steps.host.viewconnections."""

import os
from collections.abc import Mapping

import pytest

from insula.engine.machineviews import DEVICE, MEMORY
from insula.engine.steps.host import viewconnections
from insula.engine.steps.host.viewconnections import ConnectView, ServeView
from insula.errors import UnsupportedConfigError
from insula.kernel.cgroups import Cgroup, Hierarchies
from insula.kernel.fds import Fd
from insula.view.viewedfiles import ViewedGuest
from tests.descriptors import open_fds
from tests.unit.engine.steps.host.sites import context, perform


class Seen:
    """What is shown."""

    def __init__(self) -> None:
        self.shown: list[tuple[ViewedGuest, dict[str, Fd]]] = []

    def show(self, guest: ViewedGuest, connection: Mapping[str, Fd]) -> None:
        self.shown.append((guest, dict(connection)))

    def forget(self, launch: str) -> None:
        raise AssertionError(launch)


def test_a_connection_is_made_and_all_of_it_closed_with_the_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        viewconnections, "connect", lambda source: (Fd(os.open("/dev/null", 0)), Fd(os.open("/dev/null", 0)))
    )
    before = open_fds()
    at = context()
    with pytest.raises(UnsupportedConfigError, match="nobody serves"):
        perform(ConnectView(why="test", name="machine"), at)
    at.views = Seen()
    assert perform(ConnectView(why="test", name="machine"), at) == ()
    assert {*at.view} == {DEVICE, MEMORY}
    assert os.fstat(at.view[MEMORY]).st_size > 0
    assert "machine" in at.fds
    at.close()
    assert open_fds() == before


def test_whoever_serves_views_is_told_of_the_guest() -> None:
    at = context()
    at.views = seen = Seen()
    at.group, at.child, at.born = Cgroup(Hierarchies(), "group"), 4711, 99
    perform(ServeView(why="test", uuid="u", domain="web", time_offsets=(0, 5)), at)
    ((guest, connection),) = seen.shown
    assert (guest.launch, guest.name, guest.pid, guest.born, guest.boottime) == (at.launch, "web", 4711, 99, 5)
    assert connection == at.view
    at.close()
