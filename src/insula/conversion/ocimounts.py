"""Mounts and devices of an OCI bundle, and file systems of a domain. Source: the runtime specification, config.md."""

import json
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from insula.conversion.domaindraft import DomainDraft
from insula.conversion.foreigndocument import ForeignEntry, quoted
from insula.conversion.fstabs import MountLine, device_node, take_mount
from insula.conversion.jsontree import number_at, objects_at, text_at, texts_at
from insula.conversion.lxclimits import KNOWN_NODES, PLAIN_DEVICES
from insula.model.domain import DomainDefinition
from insula.model.filesystems import ROOT, Filesystem, FilesystemSource, FilesystemType

_PLAIN = (
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {
        "destination": "/dev",
        "type": "tmpfs",
        "source": "tmpfs",
        "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
    },
    {
        "destination": "/dev/pts",
        "type": "devpts",
        "source": "devpts",
        "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    },
    {
        "destination": "/dev/shm",
        "type": "tmpfs",
        "source": "shm",
        "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
    },
    {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]},
    {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
)
"""What a container's programs expect to find, and a guest finds anyway."""
_OWN = frozenset({"/dev", "/dev/shm", "/run", "/proc", "/sys", "/dev/pts", "/dev/mqueue", "/sys/fs/cgroup"})
_NOTHING_NEW = frozenset({"strictatime", "newinstance", "rslave", "slave"})
MASKED = (
    *("/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats"),
    *("/proc/sched_debug", "/proc/scsi", "/sys/firmware"),
)
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
"""What of /proc and /sys is the host's own, and covered."""


def read_mounts(draft: DomainDraft, entry: ForeignEntry) -> None:
    """Read all mounts; those that a guest finds anyway say nothing new."""
    try:
        mounts = objects_at(json.loads(entry.value))
    except ValueError:
        draft.lost(entry, "mounts is no list of objects")
        return
    for number, mount in enumerate(mounts):
        place = ForeignEntry(key=f"{entry.key}[{number}]", line=entry.line)
        try:
            _take(draft, place, mount)
        except ValueError as error:
            draft.lost(place, f"{quoted(json.dumps(mount))} is no mount: {error}")


def _take(draft: DomainDraft, place: ForeignEntry, mount: dict[str, Any]) -> None:
    target = PurePosixPath("/" + text_at(mount.get("destination")).lstrip("/"))
    if ".." in target.parts or target == ROOT:
        raise ValueError("its destination is the root, or climbs with '..'")
    kind = text_at(mount.get("type", "none"))
    options = texts_at(mount.get("options", []))
    if str(target) in _OWN and kind in ("tmpfs", "proc", "sysfs", "devpts", "mqueue", "cgroup", "cgroup2"):
        return
    words = tuple(each for each in options if each not in _NOTHING_NEW and not each.startswith("mode="))
    if kind == "bind" and not {"bind", "rbind"} & set(words):
        words = ("rbind", *words)
    source = text_at(mount.get("source", kind))
    if mount.get("uidMappings"):
        words = (*words, "idmap")
    take_mount(draft, place, MountLine(source=source, target=target, kind=kind, options=words))


def mount_keys(domain: DomainDefinition) -> Iterator[tuple[str, str]]:
    mounts: list[dict[str, object]] = [dict(each) for each in _PLAIN]
    maps = not domain.settings.privileged
    mounts += filter(None, (_mount(each, maps=maps) for each in domain.devices.filesystems if not each.is_root))
    for device in domain.devices.host_devices:
        node = device.source.character or device.source.block
        if node is not None:
            mounts.append(
                {"destination": str(node), "type": "bind", "source": str(node), "options": ["bind", "rprivate"]}
            )
    yield "mounts", json.dumps(mounts)


def _mount(each: Filesystem, *, maps: bool) -> dict[str, object] | None:
    access = "ro" if each.read_only else "rw"
    match each.type, each.source:
        case FilesystemType.MOUNT, FilesystemSource(directory=PurePosixPath() as path):
            options = ["rbind", "rprivate", access, *(["idmap"] if maps and each.is_mapped else [])]
            return {"destination": str(each.target), "type": "bind", "source": str(path), "options": options}
        case FilesystemType.RAM, FilesystemSource(usage=int() as usage):
            options = ["nosuid", "nodev", f"size={usage}k", access]
            return {"destination": str(each.target), "type": "tmpfs", "source": "tmpfs", "options": options}
    return None


def read_devices(draft: DomainDraft, entry: ForeignEntry) -> None:
    """Read the nodes that are made: each is the host's of the same name here."""
    try:
        for each in objects_at(json.loads(entry.value)):
            path = draft.path(entry, text_at(each.get("path")))
            kind = text_at(each.get("type"))
            if path is None or not path.is_relative_to("/dev"):
                draft.lost(entry, f"the node {quoted(text_at(each.get('path')))} is not below /dev")
            elif kind in ("c", "u", "b"):
                draft.host_devices.append(device_node(path, block=kind == "b"))
            else:
                draft.lost(entry, f"the node {path} is a pipe", "make it inside")
    except ValueError as error:
        draft.lost(entry, f"{quoted(entry.value)} are no devices: {error}")


def read_device_rules(draft: DomainDraft, entry: ForeignEntry) -> None:
    """Read what may be opened: what a guest may anyway says nothing new."""
    harmless = {*PLAIN_DEVICES, *KNOWN_NODES.values()}
    try:
        for each in objects_at(json.loads(entry.value)):
            if not each.get("allow"):
                continue
            major, minor = (number_at(each.get(key, -1), -1) for key in ("major", "minor"))
            numbers = ":".join("*" if number < 0 else str(number) for number in (major, minor))
            rule = f"{each.get('type', 'a')} {numbers} {each.get('access', 'rwm')}"
            if rule not in harmless and each.get("access") != "m":
                draft.lost(
                    entry,
                    f"{quoted(rule)}: devices are given by node, not by number",
                    "give each by a <hostdev mode='capabilities'>",
                )
    except ValueError as error:
        draft.lost(entry, f"{quoted(entry.value)} are no rules: {error}")


def read_covered(draft: DomainDraft, entry: ForeignEntry) -> None:
    """Read paths that are masked or read-only: below /proc and /sys they are covered anyway."""
    try:
        paths = texts_at(json.loads(entry.value))
    except ValueError:
        draft.lost(entry, f"{quoted(entry.value)} is no list of paths")
        return
    odd = [each for each in paths if not each.startswith(("/proc", "/sys"))]
    if odd:
        draft.lost(entry, f"{quoted(', '.join(odd))} stays as it is", "show something else there, by a filesystem")
