"""What the launcher does while others work: beforehand, and while the first process performs its steps."""

import errno
from dataclasses import replace

import pytest

from insula.engine.launch.launcher import Launcher
from insula.engine.launch.runningcontainer import Running
from insula.kernel.fds import NO_FD
from tests.descriptors import open_fds
from tests.plans import UNIFIED
from tests.unit.engine.desk import Desk, desk_of
from tests.unit.engine.fakes import SPEC, FakeKeeper, null


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    return desk_of(monkeypatch, UNIFIED)


def test_what_need_not_wait_for_the_steps_inside_is_done_meanwhile(desk: Desk) -> None:
    def while_inside(running: Running) -> None:
        assert (running.pidfd, running.consoles) == (NO_FD, [])
        desk.journal.append(f"{running.name} is {running.pid}")

    running = desk.launch(while_inside=while_inside)
    place = desk.journal.index(f"web is {running.pid}")
    assert (desk.journal[place - 1], desk.journal[place + 1]) == ("ask go", "go answered")
    running.close()


def test_what_fails_meanwhile_takes_the_launch_back(desk: Desk) -> None:
    def while_inside(running: Running) -> None:
        running.shown[0] = null()
        raise OSError(errno.EIO, "the disk says no")

    before = open_fds()
    with pytest.raises(OSError, match="the disk says no"):
        desk.launch(while_inside=while_inside)
    assert "go answered" in desk.journal
    assert desk.journal[-1] != "go answered"
    assert open_fds() == before


def test_a_plan_is_made_once_for_a_spec() -> None:
    launcher = Launcher(facts=UNIFIED, link=FakeKeeper())
    assert launcher.plan(SPEC) is launcher.plan(SPEC)
    assert launcher.plan(SPEC) == launcher.plan(replace(SPEC))
    assert launcher.plan(replace(SPEC, hostname="other")) is not launcher.plan(SPEC)
