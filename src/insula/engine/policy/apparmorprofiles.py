"""The AppArmor profiles of guests, as data: what a guest may do as far as AppArmor asks, with a reason per rule.

All guests of a kind share one. A profile allows what the other layers leave open (files, sockets, capabilities), and
denies once more what they must not let through, so that a mistake in one of them is not the host's end. Programs of
guests stay under it whatever their path: no profile of the host that is attached to a path, as one for /usr/bin/id,
takes them.
Sources: apparmor.d(5); the text is of ABI 3.0, which every parser since AppArmor 3 knows.
"""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class ProfileRule:
    """One line of a profile. text: without its comma."""

    text: str
    why: str


OWN_PREFIX = "insula-guest"
"""What names of our profiles begin with, of whatever version."""
_OURS = f"{OWN_PREFIX}*"

COMMON = (
    ProfileRule(text="file", why="files are held by mounts, ids and permissions; every program is executed under this"),
    ProfileRule(text="network", why="the filter knows which sockets a guest may make"),
    ProfileRule(text="unix", why="sockets inside; those of others belong to other namespaces"),
    ProfileRule(text="dbus", why="the guest's own bus asks the kernel whether its clients may"),
    ProfileRule(text="capability", why="capabilities are kept and dropped by the plan"),
    ProfileRule(text="umount", why="covers that matter are locked"),
    ProfileRule(text="mount", why="the filter and the id map know which mounts a guest may make"),
    ProfileRule(text="remount", why="as mount"),
    ProfileRule(text="pivot_root", why="services and nested containers get roots of their own by it"),
    ProfileRule(text="signal (receive)", why="the host stops its guests"),
    ProfileRule(text=f"signal (send) peer={_OURS}", why="no process of the host gets a signal of a guest"),
    ProfileRule(text="ptrace (readby, tracedby)", why="the host looks at its guests"),
    ProfileRule(text=f"ptrace (read, trace) peer={_OURS}", why="nobody inside traces or reads a process of the host"),
    ProfileRule(text="deny capability mac_admin", why="the host's policy is the host's"),
    ProfileRule(text="deny capability mac_override", why="as mac_admin"),
    ProfileRule(text="deny /{,**/}sysrq-trigger w", why="it crashes and reboots the host"),
    ProfileRule(
        text="deny /{,**/}sys/kernel/{core_pattern,modprobe,hotplug,poweroff_cmd,usermodehelper/**} w",
        why="the host's kernel executes what these name, with all rights",
    ),
    ProfileRule(
        text="deny /{,**/}sys/kernel/{core_pipe_limit,modules_disabled,kexec*,panic*,sysrq,printk*,yama/**} w",
        why="settings of the whole host",
    ),
    ProfileRule(
        text="deny /{,**/}sys/kernel/{dmesg_restrict,kptr_restrict,randomize_va_space,unprivileged_bpf_disabled} w",
        why="protections of the whole host",
    ),
    ProfileRule(
        text="deny /{,**/}sys/vm/{drop_caches,overcommit_*,panic_on_oom,mmap_min_addr,min_free_kbytes} w",
        why="settings of the whole host",
    ),
    ProfileRule(text="deny /{,**/}release_agent w", why="the host's kernel executes what it names (CVE-2022-0492)"),
    ProfileRule(text="deny /{,**/}uevent_helper w", why="as release_agent"),
    ProfileRule(text="deny /proc/{kcore,kmem,mem,kallsyms,kpage*} rwkl", why="the host's memory"),
    ProfileRule(text="deny /sys/kernel/{debug,security,tracing}/** rwkl", why="the host's kernel from inside"),
    ProfileRule(text="deny /sys/{firmware,power}/** w", why="the host's machine"),
    ProfileRule(text="deny /sys/module/*/parameters/** w", why="settings of the host's drivers"),
)

PRIVILEGED = (
    ProfileRule(
        text="deny mount fstype=(debugfs,tracefs,securityfs,configfs,pstore,efivarfs)",
        why="the host's kernel from inside; nothing of it belongs to a guest",
    ),
    ProfileRule(
        text="deny /{,**/}sys/fs/binfmt_misc/** w", why="the host executes what it names, for every program of a kind"
    ),
    ProfileRule(text="deny /{,**/}sys/fs/{protected_*,suid_dumpable,nr_open} w", why="protections of the whole host"),
)
"""Further rules for guests whose root is the host's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GuestProfile:
    """name: bears what the profile says, so that one of that name is never another; text: for apparmor_parser(8)."""

    name: str
    text: str


def _profile(kind: str, rules: tuple[ProfileRule, ...]) -> GuestProfile:
    lines = "".join(f"  # {each.why}\n  {each.text},\n" for each in rules)
    name = f"{kind}-{hashlib.sha256(lines.encode()).hexdigest()[:8]}"
    return GuestProfile(
        name=name,
        text=f"abi <abi/3.0>,\n\nprofile {name} flags=(attach_disconnected,mediate_deleted) {{\n{lines}}}\n",
    )


_UNPRIVILEGED_PROFILE = _profile(OWN_PREFIX, COMMON)
_PRIVILEGED_PROFILE = _profile(f"{OWN_PREFIX}-privileged", (*COMMON, *PRIVILEGED))
PROFILES = (_UNPRIVILEGED_PROFILE, _PRIVILEGED_PROFILE)


def profile_for(*, privileged: bool) -> GuestProfile:
    """Return the profile of guests of a kind."""
    return _PRIVILEGED_PROFILE if privileged else _UNPRIVILEGED_PROFILE
