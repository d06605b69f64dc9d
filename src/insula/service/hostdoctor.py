"""What a host lacks for Insula, with what that costs and what to do: a pure function of readings."""

from collections.abc import Iterator

from insula.engine.facts import Facts
from insula.engine.hostcheck import Gravity, HostCheck, fine
from insula.engine.hostshortcomings import kernel_checks
from insula.engine.launch.systemdscope import Manager
from insula.kernel.cgroups import Mode
from insula.service.hostneeds import KERNEL_OFFERS, NODES_NEEDED, PROGRAMS_NEEDED
from insula.service.hostreadings import HostReadings

_ROOM = 256 << 20
_LITTLE_ROOM = 2 << 30
_INODES = 1000
_INSTANCES_A_GUEST = 16
_WATCHES_A_GUEST = 2048
_GUESTS = 100
"""How many guests the host's quotas are judged for."""
_DESCRIPTORS_A_GUEST = 8
_PIDS_A_GUEST = 256
_TERMINALS_A_GUEST = 4
_BEFORE_ANY_OF_OURS = 1704067200


def examined(host: HostReadings) -> tuple[HostCheck, ...]:
    """Return all that was checked of a host, in the order of what depends on what."""
    return tuple(_checks(host))


def _checks(host: HostReadings) -> Iterator[HostCheck]:
    yield _powers(host)
    if host.facts is None:
        yield HostCheck(
            id="cgroup.mounted",
            gravity=Gravity.ERROR,
            found=host.unseen,
            costs="no guest can be started",
            remedy="mount -t cgroup2 none /sys/fs/cgroup, or start insulad where the host's are",
        )
    else:
        yield from _kernel(host.facts, host.mountinfo)
    yield from _programs(host)
    yield from _devices(host)
    yield from _directories(host)
    yield from _quotas(host)
    yield from _ids(host)
    yield from _installation(host)
    yield from _modules(host)


def _powers(host: HostReadings) -> HostCheck:
    if host.root:
        return fine("host.root", "examined as root")
    return HostCheck(
        id="host.root",
        gravity=Gravity.NOTE,
        found="examined by a user who is not root",
        costs="what only root sees counts as lacking",
        remedy="run it as root, or ask a running insulad",
    )


def _kernel(facts: Facts, mountinfo: str) -> Iterator[HostCheck]:
    yield fine("cgroup.mounted", f"control groups: {facts.hierarchies.mode.value}")
    yield from kernel_checks(facts, mountinfo)
    if facts.hierarchies.mode is not Mode.V2:
        yield HostCheck(
            id="cgroup.unified",
            gravity=Gravity.NOTE,
            found=f"control groups are {facts.hierarchies.mode.value}",
            costs="memory_guarantee, pressure and the guest's own limits of its groups need cgroup v2 alone",
            remedy="systemd.unified_cgroup_hierarchy=1 on the kernel's command line",
        )
    else:
        yield fine("cgroup.unified", "cgroup v2 alone")
    for offer in KERNEL_OFFERS:
        if getattr(facts, offer.has):
            yield fine(offer.id, f"there are {offer.feature}")
        else:
            yield HostCheck(
                id=offer.id,
                gravity=offer.gravity,
                found=f"there are no {offer.feature}",
                costs=offer.costs,
                remedy=offer.remedy,
            )
    if "overlay" in facts.filesystems:
        yield fine("kernel.overlay", "there is overlayfs")
    else:
        yield HostCheck(
            id="kernel.overlay",
            gravity=Gravity.ERROR,
            found="the kernel has no overlayfs",
            costs="no domain can be made of an image",
            remedy="modprobe overlay",
        )
    if facts.manager is Manager.NONE:
        yield HostCheck(
            id="host.systemd",
            gravity=Gravity.NOTE,
            found="no systemd runs this host",
            costs="guests have no scopes, and the host's shutdown does not shut them down by itself",
            remedy="have what shuts the host down run insula-guests stop",
        )
    else:
        yield fine("host.systemd", "systemd runs this host")


def _programs(host: HostReadings) -> Iterator[HostCheck]:
    for each in PROGRAMS_NEEDED:
        found = [name for name in each.names if host.has_program(name)]
        if found:
            yield fine(f"programs.{each.id}", f"there is {' and '.join(found)}")
        else:
            yield HostCheck(
                id=f"programs.{each.id}",
                gravity=each.gravity,
                found=f"there is no {' and no '.join(each.names)}",
                costs=each.costs,
                remedy=f"install {each.package}",
            )


def _devices(host: HostReadings) -> Iterator[HostCheck]:
    for path, costs, remedy in NODES_NEEDED:
        name = f"devices.{path.rpartition('/')[2]}"
        if path in host.devices:
            yield fine(name, f"there is {path}")
        else:
            yield HostCheck(id=name, gravity=Gravity.WARNING, found=f"there is no {path}", costs=costs, remedy=remedy)


def _directories(host: HostReadings) -> Iterator[HostCheck]:
    for each in host.directories:
        name = f"room.{each.name}"
        if not each.writable:
            yield HostCheck(
                id=name,
                gravity=Gravity.ERROR,
                found=f"{each.path} cannot be written",
                costs="no guest can be started, or nothing of it be kept",
                remedy="mount it writable; look at its owner and mode",
            )
        elif each.free is not None and (each.free < _ROOM or _few(each.free_inodes)):
            yield HostCheck(
                id=name,
                gravity=Gravity.ERROR,
                found=f"{each.path} has {each.free >> 20} MiB and {_told(each.free_inodes)} inodes free",
                costs="starts fail, and what is written for a run or a domain may be lost",
                remedy="make room: insula image prune; logs; or give it a file system of its own",
            )
        elif each.free is not None and each.free < _LITTLE_ROOM and each.name in ("images", "clones"):
            yield HostCheck(
                id=name,
                gravity=Gravity.WARNING,
                found=f"{each.path} has {each.free >> 20} MiB free",
                costs="guests that write may fill it, for all",
                remedy="insula image prune, or a larger file system there",
            )
        else:
            yield fine(name, f"{each.path} can be written")


def _few(inodes: int | None) -> bool:
    return inodes is not None and inodes < _INODES


def _told(inodes: int | None) -> str:
    return "enough" if inodes is None else str(inodes)


def _quotas(host: HostReadings) -> Iterator[HostCheck]:
    rows = (
        ("fs/inotify/max_user_instances", _INSTANCES_A_GUEST, "units fail in guests: systemd watches by inotify", 128),
        ("fs/inotify/max_user_watches", _WATCHES_A_GUEST, "programs that watch directories fail in guests", 65536),
        ("kernel/pid_max", _PIDS_A_GUEST * _GUESTS, "guests cannot start programs once it is used up", 4194304),
        ("kernel/pty/max", _TERMINALS_A_GUEST * _GUESTS, "terminals cannot be opened once it is used up", 4096),
    )
    for place, least, costs, wanted in rows:
        found, name = host.setting(place), place.replace("/", ".")
        if found is None:
            continue
        if found >= least:
            yield fine(f"quotas.{name}", f"{name} is {found}")
        else:
            yield HostCheck(
                id=f"quotas.{name}",
                gravity=Gravity.WARNING,
                found=f"{name} is {found}",
                costs=costs,
                remedy=f"sysctl -w {name}={wanted}, and the same below /etc/sysctl.d",
            )
    if host.descriptors >= _DESCRIPTORS_A_GUEST * _GUESTS:
        yield fine("quotas.descriptors", f"insulad may have {host.descriptors} descriptors")
    else:
        yield HostCheck(
            id="quotas.descriptors",
            gravity=Gravity.WARNING,
            found=f"insulad may have {host.descriptors} descriptors",
            costs=f"it can look after some {host.descriptors // _DESCRIPTORS_A_GUEST} guests",
            remedy="LimitNOFILE=1048576 in its unit",
        )


def _ids(host: HostReadings) -> Iterator[HostCheck]:
    if host.id_slots >= _GUESTS:
        yield fine("ids.pool", f"there are ids for {host.id_slots} domains")
    else:
        yield HostCheck(
            id="ids.pool",
            gravity=Gravity.ERROR if host.id_slots == 0 else Gravity.WARNING,
            found=f"the ids that 'insula' has in /etc/subuid and /etc/subgid are enough for {host.id_slots} domains",
            costs="further domains cannot be defined",
            remedy="give it more, the same in both files, or none, and the usual ones are taken",
        )


def _installation(host: HostReadings) -> Iterator[HostCheck]:
    if host.set_aside:
        yield HostCheck(
            id="definitions.set-aside",
            gravity=Gravity.WARNING,
            found=f"definitions were set aside, as they cannot be read: {', '.join(host.set_aside)}",
            costs="these domains, networks or filters do not exist",
            remedy="mend each and define it again; the log of insulad tells what is wrong; then remove the file",
        )
    else:
        yield fine("definitions.set-aside", "every definition can be read")
    if host.other_daemons and not host.prefix:
        yield HostCheck(
            id="daemons.libvirt",
            gravity=Gravity.NOTE,
            found=f"libvirt's own daemon runs here ({', '.join(host.other_daemons)})",
            costs="clients of lxc:/// reach one of the two; virtlxcd would take our socket",
            remedy="systemctl disable --now virtlxcd.socket virtlxcd.service; libvirtd is in nobody's way",
        )
    if host.group:
        yield fine("host.group", "there is the group 'libvirt'")
    else:
        yield HostCheck(
            id="host.group",
            gravity=Gravity.NOTE,
            found="there is no group 'libvirt'",
            costs="root alone may change domains",
            remedy="groupadd --system libvirt, add whom you trust as root, and restart insulad",
        )
    if host.now < _BEFORE_ANY_OF_OURS:
        yield HostCheck(
            id="host.clock",
            gravity=Gravity.WARNING,
            found="the host's clock is years behind",
            costs="certificates count as not valid yet, and logs lie",
            remedy="set it, and let a time daemon run",
        )
    else:
        yield fine("host.clock", "the clock is set")
    if (host.setting("vm/memfd_noexec") or 0) >= 2:
        yield HostCheck(
            id="kernel.memfd-exec",
            gravity=Gravity.NOTE,
            found="memory files cannot be executed here (vm.memfd_noexec is 2)",
            costs="the keeper forks instead of having a small program clone: starts take longer",
            remedy="sysctl -w vm.memfd_noexec=1",
        )


def _modules(host: HostReadings) -> Iterator[HostCheck]:
    names = [name for name, there in (("AppArmor", host.apparmor), ("SELinux", host.selinux)) if there]
    if names:
        yield fine("security.module", f"there is {' and '.join(names)}")
    else:
        yield HostCheck(
            id="security.module",
            gravity=Gravity.NOTE,
            found="neither AppArmor nor SELinux is switched on",
            costs="privileged domains are held by the other layers alone",
            remedy="security=apparmor on the kernel's command line, where the distribution has it",
        )
    if host.apparmor and host.unprofiled is not None:
        yield HostCheck(
            id="security.profiles",
            gravity=Gravity.WARNING,
            found=f"guests have no AppArmor profile: {host.unprofiled or 'the kernel has no lsm_set_self_attr'}",
            costs="profiles of the host that are attached to paths take guests' programs; privileged domains are held "
            "by the other layers alone",
            remedy="apt install apparmor, Linux 6.8, and a restart of insulad",
        )
    elif host.apparmor:
        yield fine("security.profiles", "guests are under AppArmor profiles of ours")
