"""What a guest leaves of which no file tells any more: its label tells."""

import os
import shutil
import signal
from pathlib import Path

import pytest

from tests import truth
from tests.e2e.guests import domain_id, domain_xml
from tests.insulad import Insulad
from tests.leaks import is_gone
from tests.trees import everything_below
from tests.waiting import until

pytestmark = pytest.mark.requires("virsh")


def test_the_group_of_a_guest_that_ended_unseen_and_unrecorded_is_cleared_up(
    insulad: Insulad, busybox_root: Path
) -> None:
    insulad.define(domain_xml("gone", busybox_root))
    insulad.virsh("start", "gone")
    (guest,) = truth.living(insulad.layout)
    assert guest.pid == domain_id(insulad, "gone")
    groups = {each for each in everything_below(Path("/sys/fs/cgroup")) if each.name.endswith("gone.scope")}
    assert groups

    insulad.kill()
    shutil.rmtree(insulad.layout.running)
    os.kill(guest.pid, signal.SIGKILL)
    until(lambda: is_gone(guest.pid), "the guest's end")
    assert any(each.exists() for each in groups)
    insulad.start()

    until(lambda: not any(each.exists() for each in groups), "its groups being removed", 15)
    assert insulad.virsh("domstate", "gone").stdout.strip() == "shut off"
    insulad.virsh("start", "gone")
