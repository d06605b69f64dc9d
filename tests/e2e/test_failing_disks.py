"""insulad on disks that are read-only, full or failing: it starts, serves what can be read, and refuses by name."""

import os
import signal
from pathlib import Path

import pytest

from tests import libc
from tests.e2e.guests import domain_xml, insula, state
from tests.insulad import Insulad
from tests.libc import MountFlag
from tests.waiting import until

pytestmark = pytest.mark.requires("virsh", "busybox")


def _read_only(insulad: Insulad, directory: Path) -> None:
    """Let the daemon's host see a directory as a file system that its errors made read-only."""

    def remount() -> None:
        libc.mount(str(directory), str(directory), flags=MountFlag.BIND)
        libc.mount("", str(directory), flags=MountFlag.BIND | MountFlag.REMOUNT | MountFlag.READ_ONLY)

    insulad.host.inside(remount)


def _writable(insulad: Insulad, directory: Path) -> None:
    insulad.host.run("umount", str(directory))


def test_without_a_place_for_logs_insulad_starts_and_a_dead_keeper_is_replaced(
    insulad: Insulad, busybox_root: Path
) -> None:
    insulad.define(domain_xml("guest", busybox_root))
    insulad.virsh("start", "guest")
    insulad.stop()
    (insulad.layout.logs / "keeper.log").unlink()
    _read_only(insulad, insulad.layout.logs)
    insulad.start()
    assert state(insulad, "guest") == "running"

    keeper = insulad.keeper_pid()
    assert keeper is not None
    os.kill(keeper, signal.SIGKILL)
    until(lambda: insulad.keeper_pid() not in (None, keeper), "a new keeper")
    until(lambda: insulad.virsh("destroy", "guest", check=False).returncode == 0, "the guest's end by the new keeper")
    insulad.virsh("start", "guest")
    assert insula(insulad, "exec", "guest", "--", "echo", "alive").stdout == "alive\n"

    assert insulad.log_text(10**6).count("what the keeper says goes nowhere") == 1
    insulad.virsh("destroy", "guest")
    _writable(insulad, insulad.layout.logs)


@pytest.mark.parametrize("place", ["state", "definitions"])
def test_on_a_read_only_disk_what_is_there_is_served_and_what_must_be_written_is_refused(
    insulad: Insulad, busybox_root: Path, place: str
) -> None:
    insulad.define(domain_xml("guest", busybox_root))
    insulad.virsh("start", "guest")
    insulad.stop()
    directory: Path = getattr(insulad.layout, place)
    _read_only(insulad, directory)
    insulad.start()

    assert state(insulad, "guest") == "running"
    insulad.virsh("destroy", "guest")
    insulad.virsh("start", "guest")
    assert "Read-only file system" in insulad.virsh("undefine", "guest", "--nvram", check=False).stderr
    assert state(insulad, "guest") == "running"
    assert insulad.virsh("dominfo", "guest").stdout.count("Persistent:     yes") == 1

    insulad.virsh("destroy", "guest")
    _writable(insulad, directory)
