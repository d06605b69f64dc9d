"""insulad on disks that are read-only, full or failing: it starts, serves what can be read, and refuses by name."""

import os
import shlex
import shutil
import signal
import sys
from pathlib import Path

import pytest

from insula.errors import InsulaError
from insula.sdk.connecting import connect
from tests.e2e.faileddisks import fill, read_only, writable
from tests.e2e.guests import domain_id, domain_xml, insula, state
from tests.insulad import START, Insulad
from tests.leaks import is_gone
from tests.waiting import until

pytestmark = pytest.mark.requires("virsh", "busybox")


def test_without_a_place_for_logs_insulad_starts_and_a_dead_keeper_is_replaced(
    insulad: Insulad, busybox_root: Path
) -> None:
    insulad.define(domain_xml("guest", busybox_root))
    insulad.virsh("start", "guest")
    insulad.stop()
    (insulad.layout.logs / "keeper.log").unlink()
    read_only(insulad, insulad.layout.logs)
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
    writable(insulad, insulad.layout.logs)


@pytest.mark.parametrize("place", ["state", "definitions"])
def test_on_a_read_only_disk_what_is_there_is_served_and_what_must_be_written_is_refused(
    insulad: Insulad, busybox_root: Path, place: str
) -> None:
    insulad.define(domain_xml("guest", busybox_root))
    insulad.virsh("start", "guest")
    insulad.stop()
    directory: Path = getattr(insulad.layout, place)
    read_only(insulad, directory)
    insulad.start()

    assert state(insulad, "guest") == "running"
    insulad.virsh("destroy", "guest")
    insulad.virsh("start", "guest")
    with connect(insulad.socket) as host, pytest.raises(InsulaError, match="Read-only file system"):
        host.domain("guest").remove()
    assert state(insulad, "guest") == "running"
    assert insulad.virsh("dominfo", "guest").stdout.count("Persistent:     yes") == 1

    insulad.virsh("destroy", "guest")
    writable(insulad, directory)


def _guest_pid(insulad: Insulad, name: str) -> int:
    pid = domain_id(insulad, name)
    assert pid is not None
    return pid


def test_a_living_guest_is_never_counted_as_off_nor_started_over_where_the_run_directory_is_full(
    insulad: Insulad, busybox_root: Path
) -> None:
    insulad.define(domain_xml("guest", busybox_root))
    insulad.virsh("start", "guest")
    pid = _guest_pid(insulad, "guest")
    insulad.stop()
    fill(insulad, insulad.layout.running)
    insulad.start()

    assert state(insulad, "guest") == "running"
    assert "already" in insulad.virsh("start", "guest", check=False).stderr
    assert _guest_pid(insulad, "guest") == pid
    assert insula(insulad, "exec", "guest", "--", "echo", "alive").stdout == "alive\n"
    insulad.kill()
    insulad.start()
    assert _guest_pid(insulad, "guest") == pid
    insulad.virsh("destroy", "guest")
    until(lambda: is_gone(pid), "the guest's end")
    assert state(insulad, "guest") == "shut off"
    writable(insulad, insulad.layout.running)


@pytest.mark.parametrize("loss", ["removed", "nonsense", "of a later insulad"])
@pytest.mark.parametrize("keeper_too", [False, True], ids=["", "keeper killed too"])
def test_a_guest_whose_record_is_lost_is_shown_as_running_and_can_be_ended(
    insulad: Insulad, busybox_root: Path, loss: str, keeper_too: bool
) -> None:
    insulad.define(domain_xml("guest", busybox_root))
    insulad.virsh("start", "guest")
    pid, keeper = _guest_pid(insulad, "guest"), insulad.keeper_pid()
    insulad.kill()
    if keeper_too:
        assert keeper is not None
        os.kill(keeper, signal.SIGKILL)
        until(lambda: is_gone(keeper), "the keeper's end")
    (record,) = insulad.layout.running.glob("*/record.json")
    if loss == "removed":
        shutil.rmtree(record.parent)
    else:
        record.write_text("{" if loss == "nonsense" else record.read_text().replace('"format": 1', '"format": 9'))
    insulad.start()

    assert state(insulad, "guest") == "running"
    assert "was lost" in insulad.virsh("dominfo", "guest").stdout
    assert "already" in insulad.virsh("start", "guest", check=False).stderr
    assert _guest_pid(insulad, "guest") == pid
    assert insula(insulad, "exec", "guest", "--", "echo", "alive").stdout == "alive\n"
    insulad.virsh("destroy", "guest")
    until(lambda: is_gone(pid), "the guest's end")
    insulad.virsh("start", "guest")
    insulad.virsh("destroy", "guest")
    assert list(insulad.layout.running.iterdir()) == []


def test_an_insulad_with_too_few_descriptors_says_so_and_one_with_few_refuses_starts_and_leaves_nothing(
    insulad: Insulad, busybox_root: Path
) -> None:
    insulad.stop()
    keeper = insulad.keeper_pid()
    if keeper is not None:
        os.kill(keeper, signal.SIGTERM)
        until(lambda: is_gone(keeper), "the keeper's end")
    limited = "ulimit -n {}; exec " + shlex.join([sys.executable, "-c", START, "--prefix", str(insulad.prefix)])
    refused = insulad.host.run("sh", "-c", limited.format(64), check=False)
    assert refused.returncode == 2
    assert "insulad may have 64 descriptors, and needs" in refused.stderr

    with insulad.log.open("ab") as log:
        insulad.process = insulad.host.start("sh", "-c", limited.format(256), stdout=log, stderr=log)
    until(insulad.answers, "insulad accepting", 10)
    started, text = [], ""
    for number in range(60):
        insulad.define(domain_xml(f"guest{number}", busybox_root, init="/bin/cat", memory=16))
        result = insulad.virsh("start", f"guest{number}", check=False)
        if result.returncode:
            text = result.stderr
            break
        started.append(f"guest{number}")
    assert started
    assert "descriptors" in text or "Too many open files" in text
    assert sorted(insulad.virsh("list", "--name").stdout.split()) == sorted(started)
    groups = insulad.host.run("sh", "-c", "find /sys/fs/cgroup -type d -name 'machine-lxc*' | sed 's/.*dguest/guest/'")
    assert {each.removesuffix(".scope") for each in groups.stdout.split()} == set(started)
    for name in started:
        insulad.virsh("destroy", name)
