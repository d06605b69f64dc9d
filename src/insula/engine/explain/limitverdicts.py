"""What limits say to a call: those of the process, of the guest's control group, and the kernel's quotas of objects.

Sources: getrlimit(2), the kernel documents on cgroup v1 and v2, namespaces(7) and user_namespaces(7) on
/proc/sys/user, inotify(7).
"""

import errno
from collections.abc import Iterator

from insula.engine.explain.callsignatures import signed, words
from insula.engine.explain.guestconfinement import GuestConfinement
from insula.engine.explain.refusedcall import RefusedCall
from insula.engine.explain.verdict import Layer, LayerVerdict

_FORKS = frozenset({"fork", "vfork", "clone", "clone3"})
_LOCKS = frozenset({"mlock", "mlock2", "mlockall", "mmap"})
_WRITES = words("write writev pwrite64 pwritev ftruncate truncate fallocate open openat openat2 mkdir mkdirat")
_RESOURCES = (
    *("CPU", "FSIZE", "DATA", "STACK", "CORE", "RSS", "NPROC", "NOFILE"),
    *("MEMLOCK", "AS", "LOCKS", "SIGPENDING", "MSGQUEUE", "NICE", "RTPRIO", "RTTIME"),
)
_NAMESPACES = {
    0x00020000: "mnt",
    0x02000000: "cgroup",
    0x04000000: "uts",
    0x08000000: "ipc",
    0x10000000: "user",
    0x20000000: "pid",
    0x40000000: "net",
    0x00000080: "time",
}
_DEEPEST = 32
"""User or PID namespaces in each other."""


def limit_verdicts(call: RefusedCall, guest: GuestConfinement) -> Iterator[LayerVerdict]:
    """Yield which limits may have refused it, the likeliest first."""
    if call.name in _FORKS and call.errno == errno.EAGAIN:
        yield from _forked(call, guest)
    elif call.name in (*_FORKS, "unshare") and call.errno in (errno.ENOSPC, errno.EUSERS):
        yield _namespaces(call)
    elif call.name.startswith("inotify_init") and call.errno == errno.EMFILE:
        if not _files_are_used_up(call):
            yield _quota("inotify_instances", "inotify instances", guest)
        else:
            yield _files(call)
    elif call.name == "inotify_add_watch" and call.errno == errno.ENOSPC:
        yield _quota("inotify_watches", "inotify watches", guest)
    elif call.name.startswith("fanotify") and call.errno in (errno.EMFILE, errno.ENOSPC):
        yield _quota("fanotify_groups" if call.name == "fanotify_init" else "fanotify_marks", "fanotify", guest)
    elif call.errno == errno.EMFILE:
        yield _files(call)
    elif call.errno == errno.ENFILE:
        yield LayerVerdict(
            layer=Layer.OBJECT_QUOTA,
            evidence="the whole host has no further open files",
            advice="raise fs.file-max there",
        )
    elif call.name in _LOCKS and call.errno in (errno.EPERM, errno.ENOMEM, errno.EAGAIN):
        yield from _locked(call, guest)
    elif call.errno == errno.ENOMEM:
        yield from _memory(call, guest)
    elif call.name in ("setrlimit", "prlimit64") and call.errno == errno.EPERM:
        yield _raised(call)
    elif call.errno == errno.EFBIG:
        yield _resource(call, "FSIZE", "no file may be larger")
    elif call.errno == errno.EDQUOT:
        yield from _quotas(call)
    elif call.errno == errno.ENOSPC and call.name in _WRITES:
        yield from _full(call)


def _resource(call: RefusedCall, name: str, what: str, *, settle: str = "", value: str = "unlimited") -> LayerVerdict:
    now = call.caller.limit(name)
    told = "unlimited" if now is None else str(now)
    return LayerVerdict(
        layer=Layer.RESOURCE_LIMIT,
        evidence=f"the process's limit {name} is {told}: {what}",
        change=f"<insula:rlimit name='{name.lower()}' soft='{value}' hard='{value}'/>",
        advice="inside, ulimit raises a soft limit up to the hard one; the line holds from the next start",
        settle=settle,
    )


def _files_are_used_up(call: RefusedCall) -> bool:
    soft = call.caller.limit("NOFILE")
    return soft is not None and call.caller.descriptors >= soft


def _files(call: RefusedCall) -> LayerVerdict:
    return _resource(call, "NOFILE", f"it has {call.caller.descriptors} files open", value="1048576")


def _forked(call: RefusedCall, guest: GuestConfinement) -> Iterator[LayerVerdict]:
    read = guest.readings
    limit = call.caller.limit("NPROC")
    by_group = read.tasks_limit is not None and (read.tasks_refused > 0 or (read.tasks or 0) >= read.tasks_limit)
    bounded = limit is not None and (read.tasks_limit is None or limit < read.tasks_limit)
    if by_group or not bounded:
        used = f"{read.tasks} of {read.tasks_limit} processes and threads are there"
        often = f", and {read.tasks_refused} more were refused so far" if read.tasks_refused else ""
        yield LayerVerdict(
            layer=Layer.PROCESS_LIMIT,
            evidence=f"the guest's control group has a limit: {used}{often}",
            change=f"<insula:pids limit='{2 * (read.tasks_limit or 16384)}'/>",
            advice="while it runs: insula set DOMAIN --pids",
            settle="" if by_group else "look whether the count of refusals grows: insula stats",
        )
    if bounded:
        yield _resource(
            call,
            "NPROC",
            "the user has as many processes",
            settle="as root of the guest it does not count: try it there" if by_group else "",
        )


def _namespaces(call: RefusedCall) -> LayerVerdict:
    flags = call.arguments[0]
    kinds = [kind for flag, kind in _NAMESPACES.items() if flags & flag] or ["user"]
    lines = "".join(f"<insula:sysctl name='user.max_{kind}_namespaces' value=''/>" for kind in kinds)
    return LayerVerdict(
        layer=Layer.OBJECT_QUOTA,
        evidence=(
            f"there may be no further {' or '.join(kinds)} namespace: the guest's user.max_{kinds[0]}_namespaces is "
            f"reached, or the host's for who made the guest, or {_DEEPEST} are in each other"
        ),
        change=lines,
        advice="the host's own setting of that name bounds all guests together",
    )


def _quota(name: str, what: str, guest: GuestConfinement) -> LayerVerdict:
    host = dict(guest.readings.host_limits).get(f"max_{name}")
    above = "" if host is None else f" (there: {host})"
    return LayerVerdict(
        layer=Layer.OBJECT_QUOTA,
        evidence=f"the caller's user has as many {what} as the guest's user.max_{name}, or the host's, allows{above}",
        change="" if guest.privileged else f"<insula:sysctl name='user.max_{name}' value=''/>",
        advice=f"the host's fs.{name.replace('_', '.max_user_')} bounds each guest, too: raise it there",
        settle="compare sysctl user on both sides",
    )


def _locked(call: RefusedCall, guest: GuestConfinement) -> Iterator[LayerVerdict]:
    limit = call.caller.limit("MEMLOCK")
    if limit is not None:
        yield _resource(call, "MEMLOCK", "no more bytes may be locked into memory")
    if call.errno == errno.ENOMEM:
        yield from _memory(call, guest)


def _memory(call: RefusedCall, guest: GuestConfinement) -> Iterator[LayerVerdict]:
    read = guest.readings
    size = call.caller.limit("AS")
    if size is not None:
        yield _resource(call, "AS", "no more addresses may be in use")
    if read.memory_limit is not None:
        kills = f"; {read.oom_kills} of its processes were killed for that" if read.oom_kills else ""
        yield LayerVerdict(
            layer=Layer.MEMORY_LIMIT,
            evidence=f"the guest uses {read.memory} of {read.memory_limit} bytes{kills}",
            change=f"<memory unit='b'>{2 * read.memory_limit}</memory>",
            advice="while it runs: insula set DOMAIN --memory, up to <memory>",
            settle="a group's limit mostly kills instead of refusing; the host's vm.overcommit_memory refuses",
        )


def _raised(call: RefusedCall) -> LayerVerdict:
    place = 1 if call.name == "prlimit64" else 0
    number = signed(call.arguments[place])
    name = _RESOURCES[number] if 0 <= number < len(_RESOURCES) else str(number)
    return LayerVerdict(
        layer=Layer.RESOURCE_LIMIT,
        evidence=(
            f"a hard limit ({name}) can only be lowered: raising it needs sys_resource in the host's user namespace, "
            "for limits protect the whole host"
        ),
        change=f"<insula:rlimit name='{name.lower()}' soft='' hard=''/>",
        advice="its init begins with that from the next start",
    )


def _quotas(call: RefusedCall) -> Iterator[LayerVerdict]:
    if call.name in ("add_key", "keyctl", "request_key"):
        yield LayerVerdict(
            layer=Layer.OBJECT_QUOTA,
            evidence="the user has as many keys, or bytes of them, as kernel.keys of the host allows",
            advice="raise kernel.keys.maxkeys and maxbytes on the host",
        )
        return
    seen = call.file()
    where = "" if seen is None else f" at {seen.point}"
    yield LayerVerdict(
        layer=Layer.OBJECT_QUOTA,
        evidence=f"a quota of the host's file system{where} is used up",
        advice="raise it on the host, for the ids of the guest or the project of its directory",
    )


def _full(call: RefusedCall) -> Iterator[LayerVerdict]:
    seen = call.file()
    if seen is None:
        return
    if seen.mounted == "tmpfs":
        yield LayerVerdict(
            layer=Layer.MEMORY_LIMIT,
            evidence=f"the file system in memory at {seen.point} is as large as it may be ({seen.super_options})",
            change=f"<filesystem type='ram'> with <source usage=''/> at <target dir='{seen.point}'/>",
            advice="inside: mount -o remount,size=",
        )
        return
    yield LayerVerdict(
        layer=Layer.OBJECT_QUOTA,
        evidence=f"the file system of {seen.path} ({seen.mounted}) has no room, or no inode, left",
        advice="it is the host's disk: see df and df -i there",
    )
