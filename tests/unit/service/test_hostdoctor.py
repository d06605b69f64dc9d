"""What a host lacks follows from what was read of it: each thing taken away is one finding, with what to do."""

from dataclasses import replace
from typing import Any

import pytest

from insula.engine.hostcheck import Gravity, HostCheck
from insula.engine.launch.systemdscope import Manager
from insula.kernel.cgroups import Hierarchies, V1Hierarchy
from insula.service.hostdoctor import examined
from insula.service.hostreadings import DEVICES, PROGRAMS, Directory, HostReadings
from tests.plans import UNIFIED

MOUNTS = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
23 27 0:22 / /sys rw,relatime shared:2 - sysfs sysfs rw
"""
FACTS = replace(
    UNIFIED,
    hierarchies=Hierarchies(v2="/sys/fs/cgroup", v2_controllers=("cpu", "memory", "pids")),
    filesystems=frozenset({"overlay"}),
    manager=Manager.SYSTEM
    if hasattr(Manager, "SYSTEM")
    else next(each for each in Manager if each is not Manager.NONE),
    detached_layers=True,
    device_nodes=True,
    time_namespaces=True,
    keyrings=True,
)
RUN = Directory(name="run", path="/run/insula", there=True, writable=True, free=1 << 34, free_inodes=None)
WHOLE = HostReadings(
    facts=FACTS,
    mountinfo=MOUNTS,
    programs=tuple((each, f"/usr/bin/{each}") for each in PROGRAMS),
    settings=(
        ("fs/inotify/max_user_instances", 128),
        ("fs/inotify/max_user_watches", 65536),
        ("kernel/pid_max", 4194304),
        ("kernel/pty/max", 4096),
    ),
    devices=frozenset(DEVICES),
    directories=(RUN, replace(RUN, name="images", path="/var/lib/insula/images", free_inodes=10**6)),
    apparmor=True,
    now=1800000000,
)


def lacking(host: HostReadings) -> list[HostCheck]:
    return [each for each in examined(host) if each.gravity is not Gravity.OK]


def test_a_host_that_has_all_lacks_nothing() -> None:
    assert lacking(WHOLE) == []
    ids = [each.id for each in examined(WHOLE)]
    assert len(ids) == len(set(ids)) > 30


def without(**facts: Any) -> HostReadings:
    return replace(WHOLE, facts=replace(FACTS, **facts))


def programs(*gone: str) -> HostReadings:
    return replace(WHOLE, programs=tuple((name, None if name in gone else path) for name, path in WHOLE.programs))


@pytest.mark.parametrize(
    ("host", "ids", "gravity"),
    [
        (replace(WHOLE, root=False), ["host.root"], Gravity.NOTE),
        (without(user_namespaces=False), ["kernel.user-namespaces"], Gravity.ERROR),
        (without(detached_layers=False), ["kernel.detached-layers"], Gravity.NOTE),
        (without(device_nodes=False), ["kernel.device-nodes"], Gravity.ERROR),
        (without(time_namespaces=False), ["kernel.time-namespaces"], Gravity.WARNING),
        (without(keyrings=False), ["kernel.keyrings"], Gravity.NOTE),
        (without(socket_programs=False), ["kernel.socket-programs"], Gravity.WARNING),
        (without(address_programs=False), ["kernel.address-programs"], Gravity.WARNING),
        (without(socket_scopes=False), ["kernel.socket-scopes"], Gravity.NOTE),
        (without(swap_limits=False), ["cgroup.swap"], Gravity.WARNING),
        (without(filesystems=frozenset()), ["kernel.overlay"], Gravity.ERROR),
        (without(manager=Manager.NONE), ["host.systemd"], Gravity.NOTE),
        (without(hierarchies=Hierarchies(v2="/x", v2_controllers=("cpu", "pids"))), ["cgroup.memory"], Gravity.WARNING),
        (programs("dnsmasq"), ["programs.dnsmasq"], Gravity.WARNING),
        (programs("nft"), ["programs.nft"], Gravity.WARNING),
        (programs("pasta", "slirp4netns"), ["programs.user-network"], Gravity.WARNING),
        (programs("mmdebstrap", "debootstrap"), ["programs.images"], Gravity.NOTE),
        (programs("virsh"), ["programs.virsh"], Gravity.NOTE),
        (replace(WHOLE, devices=frozenset()), ["devices.fuse", "devices.tun", "devices.loop-control"], Gravity.WARNING),
        (replace(WHOLE, directories=(replace(RUN, writable=False),)), ["room.run"], Gravity.ERROR),
        (replace(WHOLE, directories=(replace(RUN, free=4096),)), ["room.run"], Gravity.ERROR),
        (replace(WHOLE, directories=(replace(RUN, free_inodes=3),)), ["room.run"], Gravity.ERROR),
        (replace(WHOLE, directories=(replace(RUN, name="images", free=1 << 30),)), ["room.images"], Gravity.WARNING),
        (
            replace(WHOLE, settings=(("fs/inotify/max_user_instances", 8),)),
            ["quotas.fs.inotify.max_user_instances"],
            Gravity.WARNING,
        ),
        (replace(WHOLE, settings=(("kernel/pid_max", 4096),)), ["quotas.kernel.pid_max"], Gravity.WARNING),
        (replace(WHOLE, settings=(("vm/memfd_noexec", 2),)), ["kernel.memfd-exec"], Gravity.NOTE),
        (replace(WHOLE, descriptors=512), ["quotas.descriptors"], Gravity.WARNING),
        (replace(WHOLE, id_slots=0), ["ids.pool"], Gravity.ERROR),
        (replace(WHOLE, id_slots=5), ["ids.pool"], Gravity.WARNING),
        (replace(WHOLE, set_aside=("/etc/insula/domains/web.xml.broken",)), ["definitions.set-aside"], Gravity.WARNING),
        (replace(WHOLE, other_daemons=("virtlxcd",)), ["daemons.libvirt"], Gravity.NOTE),
        (replace(WHOLE, group=False), ["host.group"], Gravity.NOTE),
        (replace(WHOLE, now=0), ["host.clock"], Gravity.WARNING),
        (replace(WHOLE, apparmor=False), ["security.module"], Gravity.NOTE),
        (replace(WHOLE, unprofiled="there is no apparmor_parser"), ["security.profiles"], Gravity.WARNING),
        (replace(WHOLE, unprofiled=""), ["security.profiles"], Gravity.WARNING),
    ],
)
def test_what_is_taken_away_is_told_with_what_it_costs_and_what_to_do(
    host: HostReadings, ids: list[str], gravity: Gravity
) -> None:
    found = lacking(host)
    assert [each.id for each in found] == ids
    assert {each.gravity for each in found} == {gravity}
    assert all(each.found and each.costs and each.remedy for each in found)


def test_a_host_without_control_groups_is_examined_as_far_as_it_goes() -> None:
    found = lacking(replace(WHOLE, facts=None, unseen="no control groups are in view"))
    assert [each.id for each in found] == ["cgroup.mounted"]
    assert found[0].gravity is Gravity.ERROR and "no control groups" in found[0].found


def test_what_one_program_of_several_does_is_there() -> None:
    assert lacking(programs("pasta")) == [] and lacking(programs("debootstrap")) == []


def test_hosts_that_are_hybrid_are_told_so() -> None:
    old = V1Hierarchy(mount="/sys/fs/cgroup/cpu", controllers=("cpu", "memory", "pids"))
    hybrid = replace(FACTS, hierarchies=Hierarchies(v1=(old,), v2="/sys/fs/cgroup/unified"))
    assert [each.id for each in lacking(replace(WHOLE, facts=hybrid))] == ["cgroup.unified"]
