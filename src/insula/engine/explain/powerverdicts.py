"""What the guest's powers say to a call: capabilities that its processes have not, or that count for nothing as what
the call is about belongs to the host's user namespace.

Sources: capabilities(7), user_namespaces(7), the calls' manual pages.
"""

import errno
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from insula.engine.explain.callsignatures import signed
from insula.engine.explain.guestconfinement import GuestConfinement
from insula.engine.explain.refusedcall import RefusedCall
from insula.engine.explain.verdict import Layer, LayerVerdict
from insula.engine.policy.capabilities import HOST_ONLY, PAST_THE_CONTAINER
from insula.kernel.callfilter import Condition

_REFUSED = frozenset({errno.EPERM, errno.EACCES})


class PowerScope(Enum):
    """In whose user namespace a capability has to be held."""

    HOST = "the host"
    GUEST = "what it is about"
    """The guest's own, or one that the guest has made."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NeededPower:
    """A capability without which calls are refused, if the conditions hold. what: what it would do; change, advice:
    what gives a guest the same otherwise."""

    names: tuple[str, ...]
    capability: str
    scope: PowerScope
    what: str
    conditions: tuple[Condition, ...] = ()
    refusals: frozenset[int] = _REFUSED
    change: str = ""
    advice: str = ""


def _power(names: str, capability: str, scope: PowerScope, what: str, **further: object) -> NeededPower:
    return NeededPower(names=tuple(names.split()), capability=capability, scope=scope, what=what, **further)  # type: ignore[arg-type]


def _argument(place: int, value: int, mask: int = 0xFFFFFFFF) -> tuple[Condition, ...]:
    return (Condition(argument=place, value=value, mask=mask),)


_S_IFMT = 0o170000
_NODES = (0o020000, 0o060000)
_TIOCSCTTY, _TIOCCONS = 0x540E, 0x541D
_TUNSETIFF = 0x400454CA
_FS_IOC_SETFLAGS = 0x40086602
_HOST, _GUEST = PowerScope.HOST, PowerScope.GUEST
_PRIORITY = "<insula:rlimit name='nice' soft='40' hard='40'/>"
_REALTIME = "<insula:rlimit name='rtprio' soft='99' hard='99'/>"
_LOCKING = "<insula:rlimit name='memlock' soft='unlimited' hard='unlimited'/>"

NEEDED = (
    _power(
        "settimeofday clock_settime clock_settime64 stime adjtimex clock_adjtime clock_adjtime64",
        "sys_time",
        _HOST,
        "sets the host's clock, which no namespace holds",
        advice="set the clock on the host; <insula:timens> moves the monotonic and boot-time clocks of a guest alone",
    ),
    _power("init_module finit_module delete_module", "sys_module", _HOST, "changes the host's kernel"),
    _power("kexec_load kexec_file_load", "sys_boot", _HOST, "replaces the host's kernel"),
    _power("reboot", "sys_boot", _GUEST, "reboots the guest"),
    _power("swapon swapoff", "sys_admin", _HOST, "changes the host's swap space"),
    _power("quotactl quotactl_fd", "sys_admin", _HOST, "changes quotas of the host's file systems"),
    _power("syslog", "syslog", _HOST, "reads the host's kernel log"),
    _power("iopl ioperm", "sys_rawio", _HOST, "reaches the machine's ports"),
    _power("acct", "sys_pacct", _HOST, "changes the host's process accounting"),
    _power("perf_event_open", "perfmon", _HOST, "measures the host's processors"),
    _power("bpf", "bpf", _HOST, "loads programs into the host's kernel"),
    _power("userfaultfd", "sys_ptrace", _HOST, "handles page faults of the kernel"),
    _power("open_by_handle_at", "dac_read_search", _HOST, "opens files of the host's file systems by number"),
    _power("lookup_dcookie", "sys_admin", _HOST, "names files of the host"),
    *(
        _power(
            name,
            "mknod",
            _HOST,
            "makes a node of a device, which are the whole host's",
            conditions=_argument(place, kind, _S_IFMT),
            change="<hostdev mode='capabilities' type='misc'> or type='storage' with the host's node",
            advice="the node is there from the start then; while it runs: insula device add",
        )
        for name, place in (("mknod", 1), ("mknodat", 2))
        for kind in _NODES
    ),
    _power(
        "sched_setscheduler sched_setattr sched_setparam",
        "sys_nice",
        _HOST,
        "takes processor time before others of the host",
        change=_REALTIME,
        advice="on a host with groups of real time (cgroup v1, CONFIG_RT_GROUP_SCHED) its group must have some, too",
    ),
    _power("setpriority nice", "sys_nice", _HOST, "goes before others of the host", change=_PRIORITY),
    _power("ioprio_set", "sys_nice", _HOST, "goes before others at the host's disks"),
    _power("mlock mlock2 mlockall", "ipc_lock", _HOST, "keeps memory from being swapped", change=_LOCKING),
    _power("sethostname setdomainname", "sys_admin", _GUEST, "names the guest"),
    _power("chroot", "sys_chroot", _GUEST, "changes the root directory"),
    _power(
        "setuid setuid32 setreuid setreuid32 setresuid setresuid32 setfsuid", "setuid", _GUEST, "becomes another user"
    ),
    _power(
        "setgid setgid32 setregid setregid32 setresgid setresgid32 setgroups setgroups32",
        "setgid",
        _GUEST,
        "becomes another group",
    ),
    _power("chown chown32 lchown lchown32 fchown fchown32 fchownat", "chown", _GUEST, "gives files away"),
    _power("chmod fchmod fchmodat fchmodat2 utimensat utime utimes", "fowner", _GUEST, "changes another user's file"),
    _power("kill tkill tgkill pidfd_send_signal", "kill", _GUEST, "signals another user's process"),
    _power(
        "ptrace process_vm_readv process_vm_writev pidfd_getfd kcmp",
        "sys_ptrace",
        _GUEST,
        "looks into a process that is not the caller's, or has more than it",
    ),
    _power("bind", "net_bind_service", _GUEST, "takes a port below 1024"),
    _power("socket", "net_raw", _GUEST, "sends what it makes up", conditions=_argument(0, 17)),
    _power("socket", "net_raw", _GUEST, "sends what it makes up", conditions=_argument(1, 3, 0xF)),
    _power("sendto sendmsg", "net_admin", _GUEST, "changes the network, or talks to the kernel's audit"),
    _power("ioctl", "net_admin", _GUEST, "makes a network interface", conditions=_argument(1, _TUNSETIFF)),
    _power("ioctl", "linux_immutable", _HOST, "makes files immutable", conditions=_argument(1, _FS_IOC_SETFLAGS)),
    _power("ioctl", "sys_admin", _HOST, "takes the host's console", conditions=_argument(1, _TIOCCONS)),
    _power("ioctl", "sys_admin", _GUEST, "takes another session's terminal", conditions=_argument(1, _TIOCSCTTY)),
    _power("setns", "sys_admin", _GUEST, "enters a namespace, which has to be the guest's own"),
    _power("unshare clone clone3", "sys_admin", _GUEST, "makes namespaces"),
    _power(
        "mount umount2 umount pivot_root fsopen fspick fsmount fsconfig move_mount open_tree mount_setattr",
        "sys_admin",
        _GUEST,
        "changes what is mounted",
    ),
    _power("fanotify_init fanotify_mark", "sys_admin", _HOST, "watches whole file systems or mounts"),
    _power("setxattr lsetxattr fsetxattr", "sys_admin", _HOST, "sets attributes that only the host's root may set"),
)


def power_verdict(call: RefusedCall, guest: GuestConfinement) -> LayerVerdict | None:
    """Return what a lack of power says to the call, None if it would not be refused for one."""
    needed = next((each for each in NEEDED if _applies(each, call)), None)
    if needed is None:
        return None
    name = needed.capability
    why = f"it needs the capability {name}: {needed.what}"
    if name not in call.caller.effective:
        return _missing(needed, call, guest, why)
    if call.caller.nested:
        return LayerVerdict(
            layer=Layer.USER_NAMESPACE,
            evidence=f"{why}; the caller has it in a user namespace of the guest's making, where it counts for less",
            advice="do it outside of that, as the guest's root",
        )
    if needed.scope is PowerScope.HOST and not guest.privileged:
        return LayerVerdict(
            layer=Layer.USER_NAMESPACE,
            evidence=f"{why}; the guest's root has it for what is the guest's, and this is the host's",
            change=needed.change,
            advice=needed.advice
            or "no line gives an unprivileged guest this; do it on the host, or in a virtual machine",
        )
    return None


def _applies(needed: NeededPower, call: RefusedCall) -> bool:
    return (
        call.name in needed.names
        and call.errno in needed.refusals
        and all(call.arguments[each.argument] & each.mask & 0xFFFFFFFF == each.value for each in needed.conditions)
    )


def _missing(needed: NeededPower, call: RefusedCall, guest: GuestConfinement, why: str) -> LayerVerdict:
    name = needed.capability
    line = f"<features><capabilities policy='default'><{name} state='on'/></capabilities></features>"
    if name in guest.capabilities:
        uid = guest.inner_uid(call.caller.uid)
        return LayerVerdict(
            layer=Layer.GUEST,
            evidence=f"{why}; the guest has it, and the calling process (user {uid}) does not",
            advice="run it as the guest's root",
        )
    dropped = {**HOST_ONLY, **PAST_THE_CONTAINER}.get(name)
    taken = f"; the guest was started without it{f', as it {dropped}' if dropped else ''}"
    if needed.scope is PowerScope.HOST and not guest.privileged:
        return LayerVerdict(
            layer=Layer.USER_NAMESPACE,
            evidence=f"{why}{taken}, and in its user namespace it would count for nothing of the host's",
            change=needed.change,
            advice=needed.advice
            or "no line gives an unprivileged guest this; do it on the host, or in a virtual machine",
        )
    change = needed.change or line
    return LayerVerdict(layer=Layer.CAPABILITY, evidence=f"{why}{taken}", change=change, advice=needed.advice)


def inner_number(value: int) -> int | None:
    """Return an id as a call has it, None for -1, which leaves one as it is."""
    number = signed(value)
    return None if number == -1 else number & 0xFFFFFFFF


_PAIRS = {"chown": 1, "chown32": 1, "lchown": 1, "lchown32": 1, "fchown": 1, "fchown32": 1, "fchownat": 2}
_USERS = {"setreuid": 2, "setreuid32": 2, "setresuid": 3, "setresuid32": 3, "setuid": 1, "setuid32": 1}
_GROUPS = {"setregid": 2, "setregid32": 2, "setresgid": 3, "setresgid32": 3, "setgid": 1, "setgid32": 1}


def id_verdicts(call: RefusedCall, guest: GuestConfinement) -> Iterator[LayerVerdict]:
    """Yield a verdict if a call is about a user or a group that the guest does not have."""
    if call.errno != errno.EINVAL:
        return
    missing = [f"user {each}" for each in _users(call) if not guest.has_uid(each)]
    missing += [f"group {each}" for each in _groups(call) if not guest.has_gid(each)]
    if missing or call.name in ("setgroups", "setgroups32"):
        what = " and ".join(missing) if missing else "one of the groups"
        yield LayerVerdict(
            layer=Layer.ID_MAP,
            evidence=f"{what} is none of the guest's: its ids are {ranges(guest)}",
            change=_more_ids(guest),
            advice="from the next start; files that are given to new ids keep them",
        )


def _users(call: RefusedCall) -> list[int]:
    if call.name in _PAIRS:
        found = [inner_number(call.arguments[_PAIRS[call.name]])]
    else:
        found = [inner_number(each) for each in call.arguments[: _USERS.get(call.name, 0)]]
    return [each for each in found if each is not None]


def _groups(call: RefusedCall) -> list[int]:
    if call.name in _PAIRS:
        found = [inner_number(call.arguments[_PAIRS[call.name] + 1])]
    else:
        found = [inner_number(each) for each in call.arguments[: _GROUPS.get(call.name, 0)]]
    return [each for each in found if each is not None]


def ranges(guest: GuestConfinement) -> str:
    """Return the users that a guest has, in words."""
    if guest.spec.idmap is None:
        return "the host's"
    return ", ".join(f"{each.inside} to {each.inside + each.count - 1}" for each in guest.spec.idmap.uids)


def _more_ids(guest: GuestConfinement) -> str:
    highest = max((each.inside + each.count for each in guest.spec.idmap.uids), default=0) if guest.spec.idmap else 0
    return "<insula:subordinate ids='131072'/>" if highest >= 100000 else "<insula:subordinate ids='65536'/>"
