"""An upgrade under running guests: those of an earlier version live on, and the new daemon has them in hand.

The daemon and the keeper before are a recorded earlier version, from before the protocol's present one.
"""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from insula.engine.keeper.dialects import FORMER_VERSIONS
from tests.e2e.guests import domain_id, domain_xml, insula, state
from tests.insulad import Insulad
from tests.recorded import interpreter_of
from tests.waiting import until

pytestmark = [pytest.mark.requires("virsh"), pytest.mark.timeout(240)]


@pytest.fixture(params=FORMER_VERSIONS)
def former(request: pytest.FixtureRequest, insulad: Insulad, scratch: Path) -> int:
    """A protocol version whose daemon runs now, in the place of this one's."""
    insulad.stop()
    version = int(request.param)
    insulad.start(python=interpreter_of(version, scratch / "former"))
    return version


def upgrade(insulad: Insulad) -> None:
    insulad.kill()
    insulad.start()


def test_guests_of_an_earlier_version_live_on_and_are_entered_shut_down_and_started_again(
    insulad: Insulad, former: int, busybox_root: Path
) -> None:
    for name in ("first", "second", "third"):
        insulad.define(domain_xml(name, busybox_root))
    for name in ("first", "second"):
        insulad.virsh("start", name)
    ids = {name: domain_id(insulad, name) for name in ("first", "second")}
    keeper = insulad.keeper_pid(former)
    assert keeper is not None

    upgrade(insulad)

    assert {name: domain_id(insulad, name) for name in ids} == ids
    assert insulad.keeper_pid(former) == keeper
    assert insula(insulad, "exec", "first", "--", "cat", "/proc/1/comm").stdout == "init\n"
    subprocess.run(["nsenter", "-t", str(ids["first"]), "-m", "sh", "-c", "echo a word > /dev/console"], check=True)
    until(lambda: "a word" in insula(insulad, "log", "first").stdout, "the console's words")
    insulad.virsh("start", "third")
    assert insula(insulad, "exec", "third", "--", "cat", "/proc/1/comm").stdout == "init\n"

    insulad.virsh("destroy", "second")
    assert state(insulad, "second", reason=True) == "shut off (destroyed)"
    assert insulad.keeper_pid(former) == keeper, "it still holds one"
    insulad.virsh("shutdown", "first")
    until(lambda: state(insulad, "first", reason=True) == "shut off (shutdown)", "the first guest's end")
    until(lambda: insulad.keeper_pid(former) is None, "the old keeper's end")

    insulad.virsh("start", "first")
    assert insula(insulad, "exec", "first", "--", "cat", "/proc/1/comm").stdout == "init\n"
    upgrade(insulad)
    assert {name: state(insulad, name) for name in ("first", "second", "third")} == {
        "first": "running",
        "second": "shut off",
        "third": "running",
    }


def test_how_a_guest_of_an_earlier_version_ended_while_no_daemon_was_there_is_known(
    insulad: Insulad, former: int, busybox_root: Path
) -> None:
    insulad.define(domain_xml("web", busybox_root))
    insulad.virsh("start", "web")
    pid = domain_id(insulad, "web")
    assert pid is not None
    insulad.kill()
    os.kill(pid, signal.SIGKILL)
    insulad.start()
    until(lambda: state(insulad, "web", reason=True) == "shut off (crashed)", "its end being taken over")


def test_guests_whose_old_keeper_dies_are_handed_to_the_newest(
    insulad: Insulad, former: int, busybox_root: Path
) -> None:
    insulad.define(domain_xml("web", busybox_root))
    insulad.virsh("start", "web")
    pid = domain_id(insulad, "web")
    keeper = insulad.keeper_pid(former)
    assert keeper is not None
    upgrade(insulad)
    assert insula(insulad, "exec", "web", "--", "true").returncode == 0, "it is taken over by then"
    os.kill(keeper, signal.SIGKILL)
    until(lambda: insulad.keeper_pid(former) is None, "the old keeper's end")
    assert domain_id(insulad, "web") == pid
    assert insula(insulad, "exec", "web", "--", "cat", "/proc/1/comm").stdout == "init\n"
    insulad.virsh("shutdown", "web")
    until(lambda: state(insulad, "web", reason=True) == "shut off (shutdown)", "its end")


def test_a_guest_that_an_earlier_version_started_paused_goes_on(
    insulad: Insulad, former: int, busybox_root: Path
) -> None:
    insulad.define(domain_xml("web", busybox_root))
    insulad.virsh("start", "web", "--paused")
    upgrade(insulad)
    assert state(insulad, "web") == "paused"
    insulad.virsh("resume", "web")
    until(lambda: insula(insulad, "exec", "web", "--", "true", check=False).returncode == 0, "its running")
