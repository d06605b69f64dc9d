"""Which devices a guest has: the harmless ones everybody expects, its own terminals, and those of the spec."""

from collections.abc import Iterable, Iterator
from itertools import chain

from insula.engine.facts import Facts
from insula.engine.fragments.memorysizes import SHARED_MEMORY, memory_sizes
from insula.engine.policy.devicepolicy import default_devices
from insula.engine.spec import ContainerSpec, Device, IdMap, IdRange, Namespace, SeccompProfile
from insula.engine.steps.guest.channelports import PORTS
from insula.engine.steps.guest.gueststep import GuestStep
from insula.engine.steps.guest.roottree import AttachFilesystem, AttachMount, MountFilesystem
from insula.engine.steps.host.devicetree import CopyNode, DeviceNode, MakeDevices, TakeNode
from insula.engine.steps.host.hoststep import HostStep
from insula.engine.steps.host.imagedevices import attachments
from insula.engine.steps.host.queues import FetchQueues
from insula.errors import InvalidArgumentError

QUEUES = "queues"
"""What the tree of another guest's message queues is called on its way."""

_LINKS = (
    ("ptmx", "pts/ptmx"),
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
)
_TTY_GROUP = 5
"""The group of terminals in every distribution; grantpt(3) in old C libraries wants it."""
_TERMINALS = 1024
"""Pseudo terminals at once. The host has 3072 for all guests, unless `kernel.pty.max` says otherwise."""
_HARMLESS = ["nosuid", "noexec"]


def host_id(ranges: tuple[IdRange, ...], inside: int) -> int | None:
    """Return the host's id for a guest's, None if it has none."""
    for each in ranges:
        if each.inside <= inside < each.inside + each.count:
            return each.outside + inside - each.inside
    return None


def _owner(idmap: IdMap | None, device: Device) -> tuple[int, int]:
    if idmap is None:
        return device.uid, device.gid
    uid, gid = host_id(idmap.uids, device.uid), host_id(idmap.gids, device.gid)
    if uid is None or gid is None:
        raise InvalidArgumentError(f"the device {device.guest} belongs to {device.uid}:{device.gid}: not in the id map")
    return uid, gid


def _node(spec: ContainerSpec, device: Device) -> DeviceNode:
    uid, gid = _owner(spec.idmap, device)
    return DeviceNode(
        name=device.guest,
        kind=device.kind.value,
        major=device.major,
        minor=device.minor,
        mode=device.mode,
        uid=uid,
        gid=gid,
    )


def fetched_node(spec: ContainerSpec, facts: Facts, device: Device, name: str) -> list[HostStep]:
    """Return the steps that fetch a node that is to be shown in a guest that runs, with the guest's owner.

    Raises: InvalidArgumentError for an owner that the guest has not, and for what cannot be made a device here.
    """
    _refuse_images(spec, facts, [device])
    if facts.device_nodes:
        why = "asked for, with the guest's owner"
        return [*attachments(device), TakeNode(why=why, name=name, node=_node(spec, device))]
    return [CopyNode(why="asked for; nodes cannot be made here", name=name, path=device.host)]


def _refuse_images(spec: ContainerSpec, facts: Facts, devices: Iterable[Device]) -> None:
    """Refuse image files where no node can be made of one, and to guests that could give it another file."""
    reason = "" if facts.device_nodes else "nodes cannot be made here"
    if spec.seccomp.profile is SeccompProfile.UNCONFINED or "ioctl" in spec.seccomp.allow:
        reason = "no filter keeps the guest from taking the loop device over"
    for device in devices:
        if device.image is not None and reason:
            raise InvalidArgumentError(f"{device.image} cannot become the device {device.guest}: {reason}")


def device_tree(spec: ContainerSpec, facts: Facts) -> tuple[list[HostStep], list[GuestStep]]:
    """Return the steps that make /dev on the host's side, and those that show it inside with its own file systems."""
    uid, gid = (0, 0) if spec.idmap is None else (spec.idmap.root_uid, spec.idmap.root_gid)
    _refuse_images(spec, facts, spec.devices)
    asked_for = {each.guest for each in spec.devices}
    nodes = [
        DeviceNode(name=name, kind="c", major=major, minor=minor, mode=0o666, uid=uid, gid=gid)
        for name, major, minor in _standard_nodes(tunnels=spec.network_share is None)
        if name not in asked_for
    ]
    nodes += [_node(spec, each) for each in spec.devices]
    why = "a tree of ours, so that only these nodes exist, with the guest's owners"
    host: list[HostStep] = [
        *chain.from_iterable(map(attachments, spec.devices)),
        MakeDevices(
            why=why,
            name="dev",
            nodes=tuple(nodes) if facts.device_nodes else (),
            links=_LINKS,
            directories=("pts", "shm", "mqueue", *((PORTS,) if spec.channels else ())),
            files=(
                "console",
                *(f"tty{number}" for number in range(1, spec.consoles + 1)),
                *(f"{PORTS}/{name}" for name in spec.channels),
            ),
            uid=uid,
            gid=gid,
        ),
    ]
    inner: list[GuestStep] = [AttachFilesystem(why="the guest's devices", source="dev", target="dev")]
    if not facts.device_nodes:
        for number, (path, guest) in enumerate(_host_nodes(spec)):
            host.append(CopyNode(why="making nodes is not permitted here", name=f"node{number}", path=path))
            inner.append(AttachMount(why="one of the host's own nodes", source=f"node{number}", target=f"/dev/{guest}"))
    queues_of_another, queues = _message_queues(spec, facts)
    return [*host, *queues_of_another], [*inner, *_device_filesystems(spec, facts), *queues]


def _standard_nodes(*, tunnels: bool) -> Iterator[tuple[str, int, int]]:
    for each in default_devices(tunnels=tunnels):
        if each.shown and each.minor is not None:
            yield each.name, each.major, each.minor


def _host_nodes(spec: ContainerSpec) -> list[tuple[str, str]]:
    standard = [(f"/dev/{name}", name) for name, _, _ in _standard_nodes(tunnels=False)]
    return standard + [(each.host, each.guest) for each in spec.devices]


def _device_filesystems(spec: ContainerSpec, facts: Facts) -> list[GuestStep]:
    options: list[list[str | None]] = [["ptmxmode", "0666"], ["mode", "0620"], ["max", str(_TERMINALS)]]
    if spec.idmap is None or host_id(spec.idmap.gids, _TTY_GROUP) is not None:
        options.append(["gid", str(_TTY_GROUP)])
    return [
        MountFilesystem(
            why="terminals of its own",
            fstype="devpts",
            target="dev/pts",
            options=options,
            attributes=_HARMLESS,
        ),
        MountFilesystem(
            why="POSIX shared memory",
            fstype="tmpfs",
            target="dev/shm",
            options=[["mode", "1777"], *memory_sizes(spec, facts).options(SHARED_MEMORY)],
            attributes=["nosuid", "nodev"],
        ),
    ]


def _message_queues(spec: ContainerSpec, facts: Facts) -> tuple[list[HostStep], list[GuestStep]]:
    """Return the steps that show the POSIX message queues of the guest's IPC namespace."""
    target = "dev/mqueue"
    if "mqueue" not in facts.filesystems:
        return [], []
    if spec.idmap is not None and any(each.kind is Namespace.IPC for each in spec.shared_namespaces):
        why = "its IPC namespace is another guest's, whose root alone may mount them inside"
        attach = AttachFilesystem(why="POSIX message queues, shared with another", source=QUEUES, target=target)
        return [FetchQueues(why=why, name=QUEUES)], [attach]
    mount = MountFilesystem(
        why="POSIX message queues of its own IPC namespace",
        fstype="mqueue",
        target=target,
        options=[],
        attributes=["nosuid", "nodev", "noexec"],
    )
    return [], [mount]
