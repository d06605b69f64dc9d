"""What a host lacks for guests, found out before the first one is asked for: what nothing works without, and what less
works without.

Sources: cgroups(7), user_namespaces(7); mount_too_revealing() in fs/namespace.c for when a user namespace may mount
/proc and /sys: where those of the host are whole.
"""

import os
from collections.abc import Iterator

from insula.engine.facts import Facts
from insula.engine.hostcheck import Gravity, HostCheck, fine
from insula.errors import ConfigurationError
from insula.kernel.cgroups import Hierarchies
from insula.kernel.mountinfo import mounts_in

_NEEDED = {
    "memory": "the memory of domains cannot be limited",
    "pids": "the processes of domains cannot be limited",
    "cpu": "the processor time of domains cannot be limited",
}
_EMPTY_PLACES = {
    "proc": ("/proc/sys/fs/binfmt_misc", "/proc/fs/nfsd"),
    "sysfs": (
        "/sys/firmware/efi/efivars",
        "/sys/fs/bpf",
        "/sys/fs/cgroup",
        "/sys/fs/fuse/connections",
        "/sys/fs/pstore",
        "/sys/fs/resctrl",
        "/sys/fs/selinux",
        "/sys/fs/smackfs",
        "/sys/kernel/config",
        "/sys/kernel/debug",
        "/sys/kernel/security",
        "/sys/kernel/tracing",
    ),
}
"""Directories that the kernel made to be mounted on: what stands there hides nothing."""


def detected() -> Facts:
    """Return the host's facts. Raises: ConfigurationError for a host that no guest can be started on."""
    try:
        facts = Facts.detect()
    except OSError as error:
        where = error.filename or "/proc"
        raise ConfigurationError(
            f"the host cannot be looked at: {where}: {error.strerror}; is something mounted over it?"
        ) from error
    demand_groups(facts.hierarchies)
    return facts


def demand_groups(hierarchies: Hierarchies) -> None:
    """Raises: ConfigurationError if there are no control groups, or something covers them."""
    if not hierarchies.mounts:
        raise ConfigurationError(
            "no control groups are in view below /sys/fs/cgroup: mount them (mount -t cgroup2 none /sys/fs/cgroup), "
            "or start insulad where the host's are"
        )
    for each in hierarchies.mounts:
        if not os.path.exists(f"{each}/cgroup.procs"):
            raise ConfigurationError(f"the control groups at {each} are covered by another mount: take that off")


def shortcomings(facts: Facts, mountinfo: str) -> Iterator[HostCheck]:
    """Yield what an administrator should know of a host that guests can be started on. mountinfo: our own."""
    return (each for each in kernel_checks(facts, mountinfo) if each.gravity is not Gravity.OK)


def kernel_checks(facts: Facts, mountinfo: str) -> Iterator[HostCheck]:
    """Yield what the kernel was found to offer guests, and what it does not. mountinfo: our own."""
    if facts.user_namespaces:
        yield fine("kernel.user-namespaces", "user namespaces can be made")
    else:
        yield HostCheck(
            id="kernel.user-namespaces",
            gravity=Gravity.ERROR,
            found="no user namespace can be made here (user.max_user_namespaces is 0)",
            costs="only privileged domains can be started",
            remedy="sysctl -w user.max_user_namespaces=65536, and the same below /etc/sysctl.d",
        )
    controllers = facts.hierarchies.controllers()
    for name, meaning in _NEEDED.items():
        if name in controllers:
            yield fine(f"cgroup.{name}", f"there is the controller '{name}'")
        else:
            yield HostCheck(
                id=f"cgroup.{name}",
                gravity=Gravity.WARNING,
                found=f"there is no controller '{name}' in view",
                costs=meaning,
                remedy=f"switch it on in the kernel's command line (cgroup_enable={name}), or delegate it to insulad",
            )
    for kind, place in (("proc", "/proc"), ("sysfs", "/sys")):
        covered = covering(mountinfo, kind)
        if not covered:
            yield fine(f"kernel.whole-{kind}", f"{place} is whole")
        else:
            yield HostCheck(
                id=f"kernel.whole-{kind}",
                gravity=Gravity.WARNING,
                found=f"parts of {place} are covered ({', '.join(covered)})",
                costs="the kernel lets no unprivileged domain mount its own",
                remedy="take that off, or start insulad where it is whole",
            )


def covering(mountinfo: str, kind: str) -> list[str]:
    """Return what hides parts of every mount of a file system; nothing if one of them is whole.

    kind: proc or sysfs.
    """
    found = list(mounts_in(mountinfo))
    whole = [each.id for each in found if each.root == "/" and each.kind == kind]
    hiding = {
        number: [each.point for each in found if each.parent == number and each.point not in _EMPTY_PLACES[kind]]
        for number in whole
    }
    return min(hiding.values(), key=len, default=[])
