"""Guests whose init demands cgroup v1, as systemd before 231 does: it makes groups there, and moves itself into one."""

from pathlib import Path

import pytest

from tests.e2e.guests import domain_id, domain_xml, inside, wait_state
from tests.insulad import Insulad
from tests.waiting import until

pytestmark = pytest.mark.requires("virsh", "overlay.idmapped", "cgroup.hybrid")

_INIT = """#!/bin/sh
# systemd 219 (no more than its demands)
set -e
say() { echo "$1" >>/witness; }
trap 'say "failed"' EXIT
named=/sys/fs/cgroup/systemd
grep -q " $named [^-]* - cgroup [^ ]* .*name=systemd" /proc/self/mountinfo
grep -q " /sys/fs/cgroup [^-]* - tmpfs" /proc/self/mountinfo
grep -q ':name=systemd:/$' /proc/self/cgroup
mkdir $named/init.scope $named/system.slice $named/system.slice/a.service
echo $$ >$named/init.scope/cgroup.procs
grep -q ':name=systemd:/init.scope$' /proc/self/cgroup
sleep 100000 &
echo $! >$named/system.slice/a.service/cgroup.procs
say served
trap - EXIT
trap 'exit 0' 37 38
while :; do sleep 1; done
"""


def old_root(root: Path, *, program: str = _INIT) -> Path:
    """Make a busybox tree one whose init is an old systemd."""
    systemd = root / "lib/systemd/systemd"
    systemd.parent.mkdir(parents=True)
    systemd.write_text(program)
    systemd.chmod(0o755)
    (root / "sbin/init").unlink()
    (root / "sbin/init").symlink_to("/lib/systemd/systemd")
    return root


def witnessed(root: Path) -> list[str]:
    witness = root / "witness"
    return witness.read_text().split() if witness.exists() else []


def test_an_old_systemd_is_known_and_gets_a_hierarchy_of_its_own(insulad: Insulad, busybox_root: Path) -> None:
    """It is started, shut down, and killed with its daemon away; the leak check sees that no group stays."""
    root = old_root(busybox_root)
    insulad.define(domain_xml("old", root))
    insulad.virsh("start", "old")
    until(lambda: witnessed(root), "its init having its groups")
    assert witnessed(root) == ["served"]
    first = domain_id(insulad, "old")
    groups = Path(f"/proc/{first}/cgroup").read_text()
    assert "name=systemd:/" in groups and "/init.scope" in groups
    assert "system.slice" in inside(insulad, "old", "ls", "/sys/fs/cgroup/systemd")
    insulad.virsh("shutdown", "old")
    wait_state(insulad, "old", "shut off")
    insulad.virsh("start", "old")
    until(lambda: len(witnessed(root)) == 2, "its init having its groups anew")
    insulad.kill()
    insulad.start()
    insulad.virsh("destroy", "old")
    assert witnessed(root) == ["served", "served"]


def test_what_is_shown_can_be_asked_for(insulad: Insulad, busybox_root: Path) -> None:
    root = old_root(busybox_root)
    insulad.define(domain_xml("v2", root, settings="<insula:cgroups layout='v2'/>"))
    insulad.virsh("start", "v2", check=False)
    until(lambda: witnessed(root), "its init having missed what it needs")
    assert witnessed(root) == ["failed"]
    (root / "witness").unlink()
    (root / "lib/systemd/systemd").write_text(_INIT.replace("systemd 219", "systemd"))
    insulad.define(domain_xml("v1", root, settings="<insula:cgroups layout='v1'/>"))
    insulad.virsh("start", "v1")
    until(lambda: witnessed(root), "its init having its groups")
    assert witnessed(root) == ["served"]
    insulad.virsh("destroy", "v1")
