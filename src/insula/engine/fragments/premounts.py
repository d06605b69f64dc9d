"""What a guest's init would mount at its boot, mounted before, so that it finds it there.

Everything in guests that may mount nothing new (`policy.syscalls.NEW_MOUNT_ARGUMENTS`); file systems in memory in those
with a memory limit, which would get shares of the host's memory. Sources: systemd's document "API File Systems", the
mount units of Debian 12 and 13, OpenRC's init.sh, sysvinit's mount-functions.sh.
"""

import posixpath

from insula.engine.facts import Facts
from insula.engine.fragments.memorysizes import RUNTIME, TEMPORARY, MemorySizes, memory_sizes
from insula.engine.fragments.toldnames import shown_at
from insula.engine.guestinit import starts_system
from insula.engine.policy.syscalls import confined, filter_of
from insula.engine.spec import ContainerSpec, InitKind
from insula.engine.steps.guest.gueststep import GuestStep
from insula.engine.steps.guest.roottree import MountFilesystem
from insula.engine.steps.guest.systemdunits import MountForUnit

_WHY = "the guest, which cannot mount it itself, would"
_SIZED = "the guest would, and as large as the host's memory has it"
_COVERED = "the guest would, over what is mounted below it"
_NO_DEVICES = ["nosuid", "nodev"]
_AT_RUN = frozenset({InitKind.OPENRC, InitKind.SYSVINIT, InitKind.RUNIT, InitKind.BUSYBOX})
"""They mount /run unless it is there, busybox by its image's files; systemd's is made anyway."""
_ALIASES = (("/var/run", "/run"), ("/var/lock", "/run"))
"""Links in every distribution."""


def mounts_nothing_new(spec: ContainerSpec) -> bool:
    """Whether the guest's filter refuses it all new mounts."""
    return confined(spec.seccomp) and filter_of(spec).new_mounts is False


def premounts(spec: ContainerSpec, facts: Facts) -> list[GuestStep]:
    """Return the steps that mount what an init expects to mount; /run is there already if it is systemd's."""
    sizes = memory_sizes(spec, facts)
    if not starts_system(spec.init.argv):
        return []
    if not mounts_nothing_new(spec):
        return _sized(spec, sizes)
    steps: list[GuestStep] = []
    if spec.init_kind is not InitKind.SYSTEMD:
        steps.append(_run(_WHY, sizes))
    steps.append(
        MountFilesystem(
            why=_WHY,
            fstype="tmpfs",
            target="run/lock",
            options=[["mode", "1777"], ["size", "5m"]],
            attributes=[*_NO_DEVICES, "noexec"],
        )
    )
    if "hugetlbfs" in facts.filesystems:
        steps.append(
            MountFilesystem(
                why=_WHY, fstype="hugetlbfs", target="dev/hugepages", options=[], attributes=list(_NO_DEVICES)
            )
        )
    return [*steps, _tmp(_WHY, sizes)]


def _sized(spec: ContainerSpec, sizes: MemorySizes) -> list[GuestStep]:
    if spec.init_kind is InitKind.SYSTEMD:
        reason = _COVERED if _holds_a_mount(spec, "/tmp") else _SIZED if sizes.limit is not None else ""
        return [_tmp(reason, sizes)] if reason else []
    limited = sizes.limit is not None and spec.init_kind in _AT_RUN
    reason = _COVERED if _holds_a_mount(spec, "/run") else _SIZED if limited else ""
    return [_run(reason, sizes)] if reason else []


def _holds_a_mount(spec: ContainerSpec, directory: str) -> bool:
    """Whether something of the spec's is mounted below a directory, where what init mounts would cover it."""
    targets = (*(mount.target for mount in spec.mounts), *shown_at(spec))
    return any(_place(each).startswith(f"{directory}/") for each in targets)


def _place(target: str) -> str:
    path = posixpath.normpath(target)
    for alias, place in _ALIASES:
        if path == alias or path.startswith(f"{alias}/"):
            return place + path.removeprefix(alias)
    return path


def _run(why: str, sizes: MemorySizes) -> MountFilesystem:
    return MountFilesystem(
        why=why,
        fstype="tmpfs",
        target="run",
        options=[["mode", "0755"], *sizes.options(RUNTIME)],
        attributes=list(_NO_DEVICES),
    )


def _tmp(why: str, sizes: MemorySizes) -> MountForUnit:
    return MountForUnit(
        why=why,
        unit="tmp.mount",
        wanted_by="local-fs.target",
        fstype="tmpfs",
        target="tmp",
        options=[["mode", "1777"], *sizes.options(TEMPORARY)],
        attributes=list(_NO_DEVICES),
    )
