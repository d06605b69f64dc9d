"""Tests of insula.engine.fragments.guestdevices."""

from dataclasses import replace

import pytest

from insula.engine.fragments.guestdevices import device_tree, host_id
from insula.engine.interfacespec import NetworkKind, NetworkShare
from insula.engine.policy.devicepolicy import device_rules
from insula.engine.spec import (
    ContainerSpec,
    Device,
    DeviceKind,
    IdMap,
    IdRange,
    Namespace,
    Seccomp,
    SeccompProfile,
    SharedNamespace,
)
from insula.engine.steps.guest.roottree import MountFilesystem
from insula.engine.steps.host.devicetree import CopyNode, DeviceNode, MakeDevices
from insula.engine.steps.host.imagedevices import AttachImage
from insula.errors import InvalidArgumentError
from insula.kernel.cgroups import DeviceRule
from tests.unit.engine.fragments.example import FACTS, IDS, PRIVILEGED, SPEC, told

FUSE = Device(kind=DeviceKind.CHARACTER, major=10, minor=229, host="/dev/fuse", guest="fuse", mode=0o666, uid=7, gid=44)
STANDARD = (("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0))
TUNNELS = ("net/tun", 10, 200)
DISK = Device(kind=DeviceKind.BLOCK, major=253, minor=1, host="/dev/dm-1", guest="mapper/disk")


def made(spec: ContainerSpec) -> MakeDevices:
    """Return the step that makes /dev."""
    step = device_tree(spec, FACTS)[0][0]
    assert isinstance(step, MakeDevices)
    return step


@pytest.mark.parametrize(
    ("inside", "expected"), [(0, 100), (9, 109), (10, None), (20, 5), (21, None), (-1, None), (1 << 40, None)]
)
def test_an_id_of_the_guest_is_one_of_the_host_or_none(inside: int, expected: int | None) -> None:
    ranges = (IdRange(inside=0, outside=100, count=10), IdRange(inside=20, outside=5, count=1))
    assert host_id(ranges, inside) == expected


def test_the_standard_nodes_belong_to_the_guests_root_and_may_be_used_by_everybody() -> None:
    nodes = made(SPEC).nodes
    assert [(each.name, each.kind, each.major, each.minor) for each in nodes] == [
        (name, "c", major, minor) for name, major, minor in [*STANDARD, TUNNELS]
    ]
    assert {(each.mode, each.uid, each.gid) for each in nodes} == {(0o666, 300000, 400000)}
    assert (made(SPEC).uid, made(SPEC).gid) == (300000, 400000)
    assert {(each.uid, each.gid) for each in made(PRIVILEGED).nodes} == {(0, 0)}


def test_every_node_that_is_made_may_be_used() -> None:
    spec = replace(SPEC, devices=(FUSE, DISK))
    allowed = {(rule.kind, rule.major, rule.minor) for rule in device_rules(spec.devices)}
    assert {(each.kind, each.major, each.minor) for each in made(spec).nodes} <= allowed


def test_a_share_of_the_hosts_network_makes_no_tunnels_in_it() -> None:
    share = NetworkShare(addresses=("192.0.2.7",))
    spec = replace(SPEC, network=NetworkKind.HOST, network_share=share)
    assert "net/tun" not in {each.name for each in made(spec).nodes}
    assert DeviceRule(kind="c", major=10, minor=200) not in device_rules(spec.devices, tunnels=False)


def test_devices_of_the_spec_have_its_mode_and_the_hosts_ids_of_their_owners() -> None:
    spec = replace(SPEC, devices=(FUSE, DISK))
    assert made(spec).nodes[-2:] == (
        DeviceNode(name="fuse", kind="c", major=10, minor=229, mode=0o666, uid=300007, gid=400044),
        DeviceNode(name="mapper/disk", kind="b", major=253, minor=1, mode=0o660, uid=300000, gid=400000),
    )
    assert (made(replace(PRIVILEGED, devices=(FUSE,))).nodes[-1].gid) == 44


@pytest.mark.parametrize(("uid", "gid"), [(65536, 0), (0, 65536)])
def test_a_device_that_belongs_to_an_id_outside_the_map_is_refused(uid: int, gid: int) -> None:
    spec = replace(SPEC, devices=(replace(FUSE, uid=uid, gid=gid),))
    with pytest.raises(InvalidArgumentError, match=f"the device fuse belongs to {uid}:{gid}: not in the id map"):
        device_tree(spec, FACTS)


@pytest.mark.parametrize("consoles", [0, 1, 3])
def test_there_is_a_place_for_every_console(consoles: int) -> None:
    wanted = ("console", *(f"tty{number}" for number in range(1, consoles + 1)))
    assert made(replace(SPEC, consoles=consoles)).files == wanted


def test_links_lead_into_the_guests_own_terminals_and_fds() -> None:
    assert dict(made(SPEC).links) == {
        "ptmx": "pts/ptmx",
        "fd": "/proc/self/fd",
        "stdin": "/proc/self/fd/0",
        "stdout": "/proc/self/fd/1",
        "stderr": "/proc/self/fd/2",
    }


def test_where_nodes_cannot_be_made_the_hosts_own_are_shown() -> None:
    host, inner = device_tree(replace(SPEC, devices=(DISK,)), replace(FACTS, device_nodes=False))
    tree, *copies = host
    assert isinstance(tree, MakeDevices)
    assert tree.nodes == ()
    taken = {each.name: each.path for each in copies if isinstance(each, CopyNode)}
    assert list(taken.values()) == [*(f"/dev/{name}" for name, _, _ in STANDARD), "/dev/dm-1"]
    shown = [text for text in told(inner) if text.startswith("show node")]
    assert shown[0] == "show node0 at /dev/null"
    assert shown[-1] == f"show node{len(STANDARD)} at /dev/mapper/disk"
    assert len(shown) == len(taken) == len(STANDARD) + 1


def filesystems(spec: ContainerSpec) -> dict[str, MountFilesystem]:
    return {step.target: step for step in device_tree(spec, FACTS)[1] if isinstance(step, MountFilesystem)}


def test_dev_itself_is_shown_before_what_is_mounted_below_it() -> None:
    assert told(device_tree(SPEC, FACTS)[1]) == [
        "show dev at /dev",
        "mount devpts at /dev/pts",
        "mount tmpfs at /dev/shm",
        "mount mqueue at /dev/mqueue",
    ]
    for step in filesystems(SPEC).values():
        assert "nosuid" in step.attributes
        assert step.target.removeprefix("dev/") in made(SPEC).directories


def test_terminals_belong_to_their_group_only_where_the_guest_has_it() -> None:
    small = (IdRange(inside=0, outside=300000, count=5),)
    without = replace(SPEC, idmap=IdMap(uids=IDS.uids, gids=small))
    assert ["gid", "5"] in filesystems(SPEC)["dev/pts"].options
    assert ["gid", "5"] in filesystems(PRIVILEGED)["dev/pts"].options
    assert "gid" not in [key for key, _ in filesystems(without)["dev/pts"].options]


def test_message_queues_of_another_guest_come_from_the_host_where_the_guest_may_not_mount_them() -> None:
    shared = (SharedNamespace(kind=Namespace.IPC, path="/proc/7/ns/ipc"),)
    host, inner = device_tree(replace(SPEC, shared_namespaces=shared), FACTS)
    assert told(host)[-1] == "take the message queues of its IPC namespace as queues"
    assert told(inner)[-1] == "show queues at /dev/mqueue"
    host, inner = device_tree(replace(PRIVILEGED, shared_namespaces=shared), FACTS)
    assert told(inner)[-1] == "mount mqueue at /dev/mqueue"
    assert not any("queues" in each for each in told(host))


def test_a_kernel_without_message_queues_gets_no_mount_of_them() -> None:
    _, inner = device_tree(SPEC, replace(FACTS, filesystems=frozenset({"tmpfs"})))
    assert not any("mqueue" in text for text in told(inner))


def test_an_image_becomes_a_device_before_its_node_is_made_and_only_behind_a_filter() -> None:
    image = Device(kind=DeviceKind.BLOCK, major=0, minor=0, host="", guest="vda", image="/srv/disk")
    spec = replace(SPEC, devices=(image,))
    host, _ = device_tree(spec, FACTS)
    assert [type(each) for each in host][:2] == [AttachImage, MakeDevices]
    assert device_rules((image,)) == device_rules(())
    assert device_rules((replace(image, major=7),))[-1] == DeviceRule(kind="b", major=7, minor=0)
    open_ones = (Seccomp(profile=SeccompProfile.UNCONFINED), Seccomp(allow=("ioctl",)))
    for seccomp in open_ones:
        with pytest.raises(InvalidArgumentError, match="no filter keeps the guest from taking the loop device over"):
            device_tree(replace(spec, seccomp=seccomp), FACTS)
    with pytest.raises(InvalidArgumentError, match="/srv/disk cannot become the device vda: nodes cannot be made here"):
        device_tree(spec, replace(FACTS, device_nodes=False))
