"""What a guest that may not mount anything new would mount at its boot: mounted before, so that it finds it there.

For guests without a user namespace (`policy.syscalls.NEW_MOUNT_ARGUMENTS`). Sources: systemd's document "API File
Systems", the mount units of Debian 12 and 13.
"""

from insula.engine.facts import Facts
from insula.engine.guestinit import starts_system
from insula.engine.policy.syscalls import confined, filter_of
from insula.engine.spec import ContainerSpec, InitKind
from insula.engine.steps.guest.gueststep import GuestStep
from insula.engine.steps.guest.roottree import MountFilesystem, MountForUnit

_WHY = "the guest, which cannot mount it itself, would"
_NO_DEVICES = ["nosuid", "nodev"]


def mounts_nothing_new(spec: ContainerSpec) -> bool:
    """Whether the guest's filter refuses it all new mounts."""
    return confined(spec.seccomp) and filter_of(spec).new_mounts is False


def premounts(spec: ContainerSpec, facts: Facts) -> list[GuestStep]:
    """Return the steps that mount what an init expects to mount; /run is there already if it is systemd's."""
    if not mounts_nothing_new(spec) or not starts_system(spec.init.argv):
        return []
    steps: list[GuestStep] = []
    if spec.init_kind is not InitKind.SYSTEMD:
        steps.append(_memory("run", mode="0755", size="20%"))
    steps.append(_memory("run/lock", mode="1777", size="5m", attributes=[*_NO_DEVICES, "noexec"]))
    if "hugetlbfs" in facts.filesystems:
        steps.append(
            MountFilesystem(
                why=_WHY, fstype="hugetlbfs", target="dev/hugepages", options=[], attributes=list(_NO_DEVICES)
            )
        )
    steps.append(
        MountForUnit(
            why=_WHY,
            unit="tmp.mount",
            wanted_by="local-fs.target",
            fstype="tmpfs",
            target="tmp",
            options=[["mode", "1777"], ["size", "50%"], ["nr_inodes", "1m"]],
            attributes=list(_NO_DEVICES),
        )
    )
    return steps


def _memory(target: str, *, mode: str, size: str, attributes: list[str] | None = None) -> MountFilesystem:
    return MountFilesystem(
        why=_WHY,
        fstype="tmpfs",
        target=target,
        options=[["mode", mode], ["size", size]],
        attributes=list(_NO_DEVICES) if attributes is None else attributes,
    )
