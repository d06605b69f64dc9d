"""How a guest sees the kernel's own file systems: /proc, /sys, its control groups, and /run for systemd.

Source: systemd's document "The Container Interface", section Execution Environment.
"""

from insula.engine.facts import Facts
from insula.engine.fragments.environment import MANAGER, container_uuid
from insula.engine.fragments.givencards import foreign_network_units, given_cards
from insula.engine.fragments.memorysizes import RUNTIME, memory_sizes
from insula.engine.fragments.speccheck import own_network
from insula.engine.guestinit import starts_system
from insula.engine.program.late import Late
from insula.engine.spec import ContainerSpec, GroupLayout, InitKind, Namespace
from insula.engine.steps.guest.gueststep import GuestStep
from insula.engine.steps.guest.locking import LockMounts
from insula.engine.steps.guest.ownboot import ShowBootId, ShowUncovered
from insula.engine.steps.guest.protections import MaskPaths, ProtectPaths
from insula.engine.steps.guest.roottree import AttachFilesystem, MakeFile, MakeFilesystem, MountFilesystem
from insula.engine.steps.guest.systemdunits import SkipUnits
from insula.engine.steps.host.hoststep import HostStep
from insula.engine.steps.host.layers import CopyTree
from insula.kernel.cgroups import namedhierarchy

HIDDEN = (
    "proc/acpi",
    "proc/asound",
    "proc/dynamic_debug",
    "proc/kcore",
    "proc/key-users",
    "proc/keys",
    "proc/kpagecgroup",
    "proc/kpagecount",
    "proc/kpageflags",
    "proc/latency_stats",
    "proc/sched_debug",
    "proc/scsi",
    "proc/slabinfo",
    "proc/sysrq-trigger",
    "proc/timer_list",
    "proc/timer_stats",
    "proc/vmallocinfo",
    "sys/devices/virtual/powercap",
    "sys/firmware",
    "sys/fs/fuse/connections",
    "sys/kernel/config",
    "sys/kernel/debug",
    "sys/kernel/tracing",
)
"""What would tell a privileged guest about the host, or let it command it."""

READ_ONLY = ("proc/sys", "proc/bus", "proc/fs", "proc/irq", "proc/mtrr", "proc/driver")
"""What a privileged guest may look at."""

_LAST_GROUP = (1 << 31) - 1
"""As systemd has it."""

_HARMLESS = ["nosuid", "nodev", "noexec"]


def early_filesystems(spec: ContainerSpec) -> list[GuestStep]:
    """Return the steps that make /proc and /sys while the host prepares the rest.

    Those two belong to the host's root whoever makes them, so they need no id map; all others do.
    """
    why = "the processes of its own PID namespace"
    steps: list[GuestStep] = [MakeFilesystem(why=why, name="proc", fstype="proc", options=[], attributes=_HARMLESS)]
    if _own_sysfs(spec):
        why = "read-only tells systemd inside that devices are not its business"
        steps.append(MakeFilesystem(why=why, name="sys", fstype="sysfs", options=[], attributes=["ro", *_HARMLESS]))
    return steps


def _own_sysfs(spec: ContainerSpec) -> bool:
    """Whether the kernel lets the guest mount sysfs, which belongs to a network namespace."""
    return own_network(spec) or spec.idmap is None


def kernel_filesystems(spec: ContainerSpec) -> tuple[list[HostStep], list[GuestStep]]:
    """Return the steps that show /proc and /sys."""
    host: list[HostStep] = []
    if not _own_sysfs(spec):
        why = "sysfs belongs to a network namespace, which is not the guest's own, so it is shown the host's"
        host.append(CopyTree(why=why, name="sys", path="/sys", read_only=True, idmapped=False, recursive=False))
    inner: list[GuestStep] = [
        AttachFilesystem(why="every program expects it", source="proc", target="proc"),
        AttachFilesystem(why="systemd and its like expect it", source="sys", target="sys"),
    ]
    return host, inner


def group_filesystem(spec: ContainerSpec, facts: Facts) -> list[GuestStep]:
    """Return the steps that show /sys/fs/cgroup where the guest has a cgroup namespace, which must be there by then."""
    if sees_named_hierarchy(spec):
        return _named_hierarchy()
    if facts.hierarchies.v2 is None or Namespace.CGROUP not in spec.namespaces:
        return []
    return [
        MountFilesystem(
            why="its own sub-tree, writable, with itself as the root",
            fstype="cgroup2",
            target="sys/fs/cgroup",
            options=[],
            attributes=_HARMLESS,
        )
    ]


def sees_named_hierarchy(spec: ContainerSpec) -> bool:
    """Whether the guest is shown a v1 hierarchy without controllers, in place of the unified one."""
    wanted = not spec.knows_v2 if spec.group_layout is GroupLayout.FITTING else spec.group_layout is GroupLayout.V1
    return wanted and Namespace.CGROUP in spec.namespaces


def _named_hierarchy() -> list[GuestStep]:
    return [
        MountFilesystem(
            why="an init that knows no unified hierarchy looks for others in there",
            fstype="tmpfs",
            target="sys/fs/cgroup",
            options=[["mode", "0755"], ["size", "1m"], ["nr_inodes", "1024"]],
            attributes=_HARMLESS,
        ),
        MountFilesystem(
            why="its services are told apart by groups of it, and limited by none",
            fstype="cgroup",
            target=f"sys/fs/cgroup/{namedhierarchy.SYSTEMD}",
            options=[list(each) for each in namedhierarchy.OPTIONS],
            attributes=_HARMLESS,
        ),
    ]


def own_boot(spec: ContainerSpec) -> list[GuestStep]:
    """Return the steps that give a system a boot of its own, and leave what its own guests need in full view.

    A covered file of /proc, and /sys as it is shown, keep further user namespaces from mounting their own, and `ip
    netns exec` from /sys. A privileged guest's covers are to hide something, and it may mount neither.
    """
    if not starts_system(spec.init.argv):
        return []
    steps: list[GuestStep] = [ShowBootId(why="journals and clusters tell one boot from the next by it")]
    if spec.idmap is None:
        return steps
    why = "guests of its own may mount only what is in full view somewhere"
    steps.append(ShowUncovered(why=why, source="proc"))
    if _own_sysfs(spec):
        steps.append(ShowUncovered(why=why, source="sys"))
    return steps


def network_settings(spec: ContainerSpec) -> list[tuple[str, str]]:
    """Return the settings of its own network that a guest expects, and cannot make itself as it would.

    systemd lets every group there can be send echo requests (sysctl.d/50-default.conf), but a user namespace does not
    have them all, and in a privileged guest, whose /proc/sys is read-only, it makes no settings.
    """
    if not own_network(spec):
        return []
    last = _LAST_GROUP if spec.idmap is None else next(each.count for each in spec.idmap.gids if each.inside == 0) - 1
    return [("net.ipv4.ping_group_range", f"0 {last}")]


def runtime_directory(spec: ContainerSpec, facts: Facts) -> list[GuestStep]:
    """Return the steps that make /run with what the container interface has in it; only systemd looks for that."""
    if spec.init_kind is not InitKind.SYSTEMD:
        return []
    sizes = memory_sizes(spec, facts)
    why = "lets programs inside know what they run in, without reading init's environment"
    steps: list[GuestStep] = [
        MountFilesystem(
            why="systemd would mount it after our files were there",
            fstype="tmpfs",
            target="run",
            options=[["mode", "0755"], *sizes.options(RUNTIME)],
            attributes=["nosuid", "nodev"],
        ),
        MakeFile(why=why, path="run/host/container-manager", content=f"{MANAGER}\n"),
        MakeFile(why=why, path="run/host/container-uuid", content=Late(f"{container_uuid(spec)}\n")),
    ]
    if sizes.user is not None and "memory" not in facts.hierarchies.v2_controllers:
        size, inodes = sizes.user
        content = Late(f"[Login]\nRuntimeDirectorySize={size}\nRuntimeDirectoryInodesMax={inodes}\n")
        why = "systemd-logind takes a share of the memory, and its own group does not tell it the limit here"
        steps.append(MakeFile(why=why, path="run/systemd/logind.conf.d/00-insula.conf", content=content))
    reasons = {
        "its fstab asks for what cannot be had here, and systemd would count as degraded": spec.skipped_units,
        "the network is another's": foreign_network_units(spec),
    }
    steps += [SkipUnits(why=why, units=list(units)) for why, units in reasons.items() if units]
    return [*steps, *given_cards(spec)]


def protections(spec: ContainerSpec) -> list[GuestStep]:
    """Return the steps that hide and protect what is the host's.

    Only for privileged guests. In a user namespace all of it belongs to nobody the guest can be, so permissions protect
    it already; covers could be taken off by the guest's root, and would keep its services from mounting a /proc of
    their own, since the kernel allows that only where one is in full view.
    """
    if spec.idmap is not None:
        return []
    writable = ["proc/sys/net"] if own_network(spec) else []
    return [
        ProtectPaths(why="they are the host's settings", paths=list(READ_ONLY), writable=writable),
        MaskPaths(why="they tell about the host, or command it", paths=list(HIDDEN)),
    ]


def locks(spec: ContainerSpec, facts: Facts) -> list[GuestStep]:
    """Return the step that keeps the guest's root from taking off what `protections` has put there.

    It could, having the host's capabilities. In a user namespace there is nothing to lock.
    """
    if spec.idmap is not None or not facts.user_namespaces:
        return []
    return [LockMounts(why="a cover that can be taken off protects nothing")]
