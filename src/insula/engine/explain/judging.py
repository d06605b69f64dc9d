"""Which layer refused a call: a pure function of the call, as a trace saw it, and of what holds the guest.

The filter is asked first, by its own program: where it has the call fail as it failed, nothing else was asked. Then
what the call itself tells (files, ids, limits), then powers. What several may have refused is told as several.
"""

import errno
from collections.abc import Iterator

from insula.engine.explain.callsignatures import signed, words
from insula.engine.explain.fileverdicts import file_verdicts
from insula.engine.explain.filterverdict import filter_verdict
from insula.engine.explain.guestconfinement import GuestConfinement
from insula.engine.explain.limitverdicts import limit_verdicts
from insula.engine.explain.powerverdicts import id_verdicts, power_verdict
from insula.engine.explain.refusedcall import RefusedCall
from insula.engine.explain.verdict import Explanation, Layer, LayerVerdict

_REFUSED = (errno.EPERM, errno.EACCES)
_USER_MOUNTABLE = words("tmpfs proc sysfs devpts mqueue cgroup cgroup2 overlay fuse fuseblk ramfs bpf binder devtmpfs")
"""What a user namespace may mount. Source: FS_USERNS_MOUNT in the kernel's file systems."""
_EXISTING = 4096 | 8192 | 32
"""MS_BIND, MS_MOVE, MS_REMOUNT."""
_TRACEME, _ATTACH, _SEIZE = 0, 16, 0x4206
_UNCONFINED = ("", "unconfined", "kernel")


def explanation(call: RefusedCall, guest: GuestConfinement) -> Explanation:
    """Return who refused a call, or may have."""
    return Explanation(call=call, verdicts=tuple(_verdicts(call, guest)) or (_unknown(call),))


def _verdicts(call: RefusedCall, guest: GuestConfinement) -> Iterator[LayerVerdict]:
    by_filter = filter_verdict(call, guest)
    if by_filter is not None:
        yield by_filter
        return
    own = _of_call(call, guest)
    if own is not None:
        yield own
        return
    found = [*id_verdicts(call, guest), *limit_verdicts(call, guest), *file_verdicts(call, guest)]
    if not found:
        power = power_verdict(call, guest)
        found = [] if power is None else [power]
    yield from found
    if not found or all(each.layer is Layer.GUEST for each in found):
        yield from _kernel(call, guest, found)
        yield from _own_filter(call)
        yield from _module(call, guest)


def _of_call(call: RefusedCall, guest: GuestConfinement) -> LayerVerdict | None:
    """What only concerns a call or two."""
    if call.name == "ptrace" and call.errno == errno.EPERM and _is_traced(call):
        return LayerVerdict(
            layer=Layer.TRACE,
            evidence="a process has one tracer, and here that is this very explanation",
            advice="debuggers work without it: insula exec",
            settle="run it by insula exec: what fails there, too, is the guest's (sys_ptrace, Yama's ptrace_scope)",
        )
    if call.name in ("mount", "fsopen", "fsconfig"):
        return _mount(call, guest)
    if call.name == "setns" and call.errno == errno.EPERM and "sys_admin" in call.caller.effective:
        return LayerVerdict(
            layer=Layer.USER_NAMESPACE,
            evidence="the namespace is not the guest's, and who enters one needs sys_admin where it belongs to",
            change="<lxc:namespace> with sharenet, shareipc or shareuts",
            advice="that shares a namespace of another domain, or of a process of the host, from the next start",
        )
    if call.name == "reboot" and call.errno == errno.EINVAL:
        return LayerVerdict(
            layer=Layer.KERNEL,
            evidence="in a PID namespace reboot(2) can restart, halt and power off, and nothing else",
            advice="Ctrl-Alt-Del, suspending and kexec are the host's",
        )
    if call.name == "bind" and guest.spec.network_share is not None and call.errno in _REFUSED:
        return LayerVerdict(
            layer=Layer.NETWORK_SHARE,
            evidence="the domain has a share of the host's network, and this address or port is not in it",
            change="<insula:share-network addresses='' ports=''/> with that address and port",
        )
    return None


def _is_traced(call: RefusedCall) -> bool:
    """Whether it is refused as the process has a tracer, ourselves; who may trace others is refused by nothing else."""
    request = signed(call.arguments[0])
    return request == _TRACEME or (request in (_ATTACH, _SEIZE) and "sys_ptrace" in call.caller.effective)


def _mount(call: RefusedCall, guest: GuestConfinement) -> LayerVerdict | None:
    kind = call.text(2 if call.name == "mount" else 0)
    fresh = call.name != "mount" or not call.arguments[3] & _EXISTING
    if call.errno == errno.ENODEV and kind and kind not in guest.filesystems:
        return LayerVerdict(
            layer=Layer.KERNEL,
            evidence=f"the host's kernel knows no file system '{kind}'",
            advice=f"load its module on the host (modprobe {_module_name(kind)}), if it has one",
        )
    if call.errno not in _REFUSED or guest.privileged or "sys_admin" not in call.caller.effective:
        return None
    if fresh and kind and kind not in _USER_MOUNTABLE:
        return LayerVerdict(
            layer=Layer.USER_NAMESPACE,
            evidence=f"the kernel lets no user namespace mount '{kind}': its code trusts what lies on the disk",
            change="<filesystem type='block'> or type='file' with the device or image",
            advice="the host mounts it for the guest then, under the guest's owners",
        )
    if fresh and kind in ("proc", "sysfs"):
        return LayerVerdict(
            layer=Layer.USER_NAMESPACE,
            evidence=f"a new {kind} needs one in full view already, and a namespace of the caller's to show",
            advice="make a PID (proc) or network namespace (sysfs) first; unshare --mount-proc does",
        )
    return LayerVerdict(
        layer=Layer.USER_NAMESPACE,
        evidence="mounts of the host's making are locked: ro, nosuid, nodev, noexec and atime stay as they are",
        change="the <filesystem> of that target, written as it is to be",
        advice="mounts that the guest has made itself it may change",
    )


def _module_name(kind: str) -> str:
    return {"nfs4": "nfs", "fuseblk": "fuse"}.get(kind, kind)


def _kernel(call: RefusedCall, guest: GuestConfinement, found: list[LayerVerdict]) -> Iterator[LayerVerdict]:
    if call.errno == errno.ENOSYS:
        yield LayerVerdict(
            layer=Layer.KERNEL,
            evidence="the guest's filter lets this call pass, so it is the host's kernel that has no such call",
            advice="a newer kernel, or one with that option, has it",
        )
    elif call.errno in (errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT) and not found:
        yield LayerVerdict(
            layer=Layer.KERNEL,
            evidence="the guest's filter lets such sockets pass, so it is the host's kernel that has none",
            advice="load the module of that family or protocol on the host, if it has one",
        )
    elif call.errno in (errno.EOPNOTSUPP, errno.ENODEV, errno.ENXIO, errno.ENOPROTOOPT) and not found:
        yield LayerVerdict(
            layer=Layer.KERNEL,
            evidence="no layer of the confinement answers so: the kernel, a driver or a file system has no such thing",
            advice="try the same on the host",
        )


def _own_filter(call: RefusedCall) -> Iterator[LayerVerdict]:
    if call.caller.filters is not None and call.caller.filters > 1 and call.errno in (*_REFUSED, errno.ENOSYS):
        yield LayerVerdict(
            layer=Layer.GUEST,
            evidence=f"{call.caller.filters} filters hold the calling process, all but one put there inside (systemd's "
            "SystemCallFilter=, a sandbox)",
            advice="look at the unit or the program that starts it",
            settle="run the same command by itself: insula explain",
        )


def _module(call: RefusedCall, guest: GuestConfinement) -> Iterator[LayerVerdict]:
    label = call.caller.label.removesuffix("(enforce)").strip()
    if call.errno in _REFUSED and label not in _UNCONFINED and not label.endswith("(unconfined)"):
        yield LayerVerdict(
            layer=Layer.SECURITY_MODULE,
            evidence=f"a security module of the host confines the caller ('{label}')",
            advice="change or take off that profile on the host",
            settle="the host's log names each denial: journalctl -k -g 'DENIED|avc'",
        )


def _unknown(call: RefusedCall) -> LayerVerdict:
    return LayerVerdict(
        layer=Layer.UNKNOWN,
        evidence=f"nothing that holds the guest answers this call with {errno.errorcode.get(call.errno, call.errno)}",
        advice="try the same on the host: what fails there, too, is the kernel's or the program's",
        settle="insula exec without the trace, and the call's manual page on that error",
    )
