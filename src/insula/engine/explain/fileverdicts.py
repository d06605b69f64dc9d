"""What the guest's tree says to a call: mounts that are read-only, cover something or take nodes for nothing, the
device policy, owners that are nobody of the guest's, and permissions.

Sources: mount(2), path_resolution(7), user_namespaces(7) on which inodes capabilities count for, open(2).
"""

import errno
import stat
from collections.abc import Iterator
from fnmatch import fnmatchcase as fnmatch

from insula.engine.explain.callsignatures import words
from insula.engine.explain.guestconfinement import GuestConfinement
from insula.engine.explain.refusedcall import PARENT_SHOWN, RefusedCall, SeenFile
from insula.engine.explain.verdict import Layer, LayerVerdict
from insula.engine.fragments.kernelfiles import HIDDEN, READ_ONLY
from insula.engine.fragments.speccheck import namespace_of_setting
from insula.engine.policy.deviceclasses import DEVICE_CLASSES
from insula.engine.spec import Access, BindMount, ImageMount, Namespace

_REFUSED = (errno.EPERM, errno.EACCES)
_OPENING = words("open openat openat2 creat")


def file_verdicts(call: RefusedCall, guest: GuestConfinement) -> Iterator[LayerVerdict]:
    """Yield what about the files that a call named may have refused it."""
    for seen in call.files:
        if call.errno == errno.EROFS and _is_read_only(seen):
            yield _read_only(seen, guest)
        elif call.errno == errno.EOVERFLOW or (call.errno in _REFUSED and _is_foreign(seen, guest)):
            yield from _foreign(seen, call, guest)
        elif seen.kind in "cb" and call.name in _OPENING and call.errno in _REFUSED:
            yield from _device(seen, call, guest)
        elif seen.kind in "cb" and call.errno in (errno.ENXIO, errno.ENODEV):
            yield _no_driver(seen)
        elif call.errno == errno.ENOENT and seen.kind == PARENT_SHOWN:
            yield from _missing(seen)
        elif call.errno == errno.EACCES and call.name in ("execve", "execveat"):
            yield from _not_executable(seen, call, guest)
        elif call.errno in _REFUSED and _is_masked(seen):
            yield _masked(seen)
        elif call.errno == errno.EACCES:
            yield from _permission(seen, call, guest)


def _has(options: str, word: str) -> bool:
    return word in options.split(",")


def _is_read_only(seen: SeenFile) -> bool:
    return _has(seen.options, "ro") or _has(seen.super_options, "ro")


def _is_masked(seen: SeenFile) -> bool:
    return seen.point.lstrip("/") in HIDDEN and seen.mounted == "tmpfs"


def _masked(seen: SeenFile) -> LayerVerdict:
    return LayerVerdict(
        layer=Layer.MASK,
        evidence=f"{seen.point} is covered with nothing, as it tells about the host or commands it",
        advice="no line of the definition takes the cover off; a domain without <insula:privileged/> has none",
    )


def _read_only(seen: SeenFile, guest: GuestConfinement) -> LayerVerdict:
    where = f"{seen.path} lies on the mount at {seen.point} ({seen.mounted}), which is read-only"
    if _is_masked(seen):
        return _masked(seen)
    if seen.point.startswith("/proc/") and seen.point.lstrip("/") in READ_ONLY:
        return _setting(seen, where, guest)
    if seen.mounted == "sysfs":
        return LayerVerdict(
            layer=Layer.READ_ONLY,
            evidence=f"{where}: it tells systemd inside that devices are not its business",
            advice="no line of the definition makes it writable; change the setting on the host",
        )
    if seen.mounted == "proc":
        return _setting(seen, where, guest)
    shown = next((each for each in guest.spec.mounts if each.target.rstrip("/") == seen.point.rstrip("/")), None)
    if shown is not None and shown.access is Access.READ_ONLY:
        source = f" of {shown.source}" if isinstance(shown, BindMount | ImageMount) else ""
        return LayerVerdict(
            layer=Layer.READ_ONLY,
            evidence=f"{where}: the definition shows it{source} with <readonly/>",
            change=f"<filesystem> with <target dir='{shown.target}'/>, without <readonly/>",
            advice="while it runs: virsh update-device",
        )
    if seen.point == "/" and getattr(guest.spec.root, "access", None) is Access.READ_ONLY:
        return LayerVerdict(
            layer=Layer.READ_ONLY,
            evidence=f"{where}: the definition gives the root with <readonly/>",
            change="<filesystem> with <target dir='/'/>, without <readonly/>",
        )
    if _has(seen.super_options, "ro") and not _has(seen.options, "ro"):
        return LayerVerdict(
            layer=Layer.READ_ONLY,
            evidence=f"{where}: the file system itself is, with all its mounts",
            advice="mount it writable on the host, if it is sound: a disk with errors is made read-only by the kernel",
        )
    return LayerVerdict(
        layer=Layer.READ_ONLY,
        evidence=f"{where}, and no line of the definition says so: inside or on the host it was mounted so",
        advice="inside: mount -o remount,rw; else look at the mount on the host",
    )


def _setting(seen: SeenFile, where: str, guest: GuestConfinement) -> LayerVerdict:
    name = setting_name(seen.path)
    if name and _is_settable(name, guest):
        return LayerVerdict(
            layer=Layer.READ_ONLY,
            evidence=where,
            change=f"<insula:sysctl name='{name}' value=''/>",
            advice="the setting is the guest's own, and is set before its init starts",
        )
    return LayerVerdict(
        layer=Layer.READ_ONLY,
        evidence=f"{where}: the setting is the whole host's",
        advice="no line of the definition lets the guest change it; set it on the host (sysctl)",
    )


def _is_settable(name: str, guest: GuestConfinement) -> bool:
    """Whether a definition may set it: it belongs to a namespace that is the guest's own."""
    kind = namespace_of_setting(name.replace(".", "/"))
    return kind is not None and (kind is not Namespace.USER or not guest.privileged)


def setting_name(path: str) -> str:
    """Return what sysctl(8) calls a file below /proc/sys, empty for another."""
    prefix = "/proc/sys/"
    return path.removeprefix(prefix).replace("/", ".") if path.startswith(prefix) else ""


def _is_foreign(seen: SeenFile, guest: GuestConfinement) -> bool:
    """Whether its owner is nobody of the guest's: capabilities of the guest do not count for such files."""
    return guest.inner_uid(seen.uid) is None or guest.inner_gid(seen.gid) is None


def _foreign(seen: SeenFile, call: RefusedCall, guest: GuestConfinement) -> Iterator[LayerVerdict]:
    if not _is_foreign(seen, guest):
        if call.errno == errno.EOVERFLOW:
            yield LayerVerdict(
                layer=Layer.ID_MAP,
                evidence=f"the caller's ids have none on the file system of {seen.path}, so nothing can be made there",
                advice="show the file system with owners of the guest's (without insula:idmap='off')",
            )
        return
    name = setting_name(seen.path)
    owner = f"{seen.uid}:{seen.gid} of the host"
    if seen.mounted in ("proc", "sysfs", "securityfs", "debugfs", "tracefs"):
        if name and _is_settable(name, guest):
            yield LayerVerdict(
                layer=Layer.ID_MAP,
                evidence=f"{seen.path} belongs to {owner}, who is nobody in the guest",
                change=f"<insula:sysctl name='{name}' value=''/>",
            )
            return
        yield LayerVerdict(
            layer=Layer.ID_MAP,
            evidence=f"{seen.path} belongs to {owner}, who is nobody in the guest: the setting is the host's",
            advice="no line of the definition gives it to the guest; change it on the host",
        )
        return
    if seen.kind in "cb" and call.name in _OPENING:
        yield from _device(seen, call, guest)
        return
    yield LayerVerdict(
        layer=Layer.ID_MAP,
        evidence=f"{seen.path} belongs to {owner}, who is nobody in the guest, so not even its root's powers count",
        change=_owners_change(seen, guest),
        advice="or give it another owner on the host",
    )


def _owners_change(seen: SeenFile, guest: GuestConfinement) -> str:
    shown = next((each for each in guest.spec.mounts if each.target.rstrip("/") == seen.point.rstrip("/")), None)
    if isinstance(shown, BindMount | ImageMount) and not shown.idmapped:
        return f"<filesystem> with <target dir='{shown.target}'/>, without insula:idmap='off'"
    return f"<idmap> with ranges that have {seen.uid} and {seen.gid} of the host"


def _device(seen: SeenFile, call: RefusedCall, guest: GuestConfinement) -> Iterator[LayerVerdict]:
    number = f"{seen.kind} {seen.major}:{seen.minor}"
    if call.errno == errno.EACCES and _has(seen.options, "nodev"):
        yield LayerVerdict(
            layer=Layer.MOUNT_OPTION,
            evidence=f"{seen.path} is a node on the mount at {seen.point}, where nodes mean nothing (nodev)",
            change=hostdev(seen),
            advice="a node that the definition gives lies where it counts",
        )
        return
    if not may_use(seen, guest):
        yield LayerVerdict(
            layer=Layer.DEVICES,
            evidence=f"the guest's control group allows no {number} ({seen.path})",
            change=hostdev(seen),
            advice="it is given to the guest then, with all that it does; while it runs: insula device add",
        )
        return
    if _is_foreign(seen, guest) or call.errno == errno.EACCES:
        yield from _permission(seen, call, guest)


def may_use(seen: SeenFile, guest: GuestConfinement) -> bool:
    """Whether the guest's device policy allows any use of a node."""
    return any(
        each.kind == seen.kind and each.major in (None, seen.major) and each.minor in (None, seen.minor)
        for each in guest.devices
    )


def hostdev(seen: SeenFile) -> str:
    """Return the element that gives a guest the node that it wanted: its class, else its name."""
    name = seen.path.removeprefix("/dev/")
    for word, patterns in DEVICE_CLASSES.items():
        if seen.kind != "b" and seen.path.startswith("/dev/") and any(fnmatch(name, each.path) for each in patterns):
            return f"<insula:device class='{word}'/>"
    if seen.kind == "b":
        return f"<hostdev mode='capabilities' type='storage'><source><block>{seen.path}</block></source></hostdev>"
    return f"<hostdev mode='capabilities' type='misc'><source><char>{seen.path}</char></source></hostdev>"


def _no_driver(seen: SeenFile) -> LayerVerdict:
    return LayerVerdict(
        layer=Layer.KERNEL,
        evidence=f"the host's kernel has no driver behind {seen.kind} {seen.major}:{seen.minor} ({seen.path})",
        advice="load its module on the host, or plug the device in",
    )


def _missing(seen: SeenFile) -> Iterator[LayerVerdict]:
    if seen.path.startswith("/dev/"):
        block = seen.path.startswith(("/dev/sd", "/dev/vd", "/dev/nvme", "/dev/loop", "/dev/dm-", "/dev/mapper/"))
        node = SeenFile(argument=seen.argument, path=seen.path, kind="b" if block else "c")
        if seen.path.startswith("/dev/loop"):
            yield LayerVerdict(
                layer=Layer.DEVICES,
                evidence=f"there is no {seen.path} in the guest: loop devices are one set for the whole host",
                change="<disk type='file'> with the image file, or <filesystem type='file'>",
                advice="the host makes the loop device then",
            )
            return
        yield LayerVerdict(
            layer=Layer.DEVICES,
            evidence=f"there is no node {seen.path} in the guest, which is given none but those of its definition",
            change=hostdev(node),
            advice="if the host has that node",
        )
    elif seen.path.startswith(("/proc/sys/", "/sys/")):
        yield LayerVerdict(
            layer=Layer.KERNEL,
            evidence=f"the kernel shows no {seen.path} here: it lacks it, or shows it to the host only",
            advice="look whether the host has it",
        )


def _not_executable(seen: SeenFile, call: RefusedCall, guest: GuestConfinement) -> Iterator[LayerVerdict]:
    if _has(seen.options, "noexec"):
        yield LayerVerdict(
            layer=Layer.MOUNT_OPTION,
            evidence=f"{seen.path} lies on the mount at {seen.point}, from which nothing is executed (noexec)",
            advice="copy it elsewhere, or remount with exec inside",
        )
        return
    yield from _permission(seen, call, guest)


def _permission(seen: SeenFile, call: RefusedCall, guest: GuestConfinement) -> Iterator[LayerVerdict]:
    """Yield the guest's own permissions, where the caller has nothing that overrides them."""
    overrides = {"dac_override", "dac_read_search"} & call.caller.effective and not _is_foreign(seen, guest)
    if overrides and not (call.name in ("execve", "execveat") and not seen.mode & 0o111):
        return
    uid, gid = guest.inner_uid(seen.uid), guest.inner_gid(seen.gid)
    kind = "the directory of " if seen.kind == PARENT_SHOWN else ""
    yield LayerVerdict(
        layer=Layer.GUEST,
        evidence=(
            f"{kind}{seen.path} belongs to {_shown(uid)}:{_shown(gid)} with mode {stat.S_IMODE(seen.mode):o}, "
            f"and the caller is user {_shown(guest.inner_uid(call.caller.uid))}"
        ),
        advice="permissions of the guest's own: change them inside, or run it as another user (--user)",
    )


def _shown(number: int | None) -> str:
    return "nobody" if number is None else str(number)
