"""Lines as of fstab(5), which several programs describe mounts by: from a line to a device of a domain."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from insula.conversion.amounts import read_size
from insula.conversion.domaindraft import DomainDraft
from insula.conversion.foreigndocument import ForeignEntry, quoted
from insula.model.devices import HostDevice, HostDeviceMode, HostDeviceSource, HostDeviceType
from insula.model.filesystems import Filesystem, FilesystemSource, FilesystemType
from insula.model.scalars import OnOff
from insula.model.sizes import KiB, kib_of

GIVEN_ANYWAY = frozenset({"proc", "sysfs", "devpts", "mqueue", "cgroup", "cgroup2", "devtmpfs"})
"""File systems that a guest finds mounted."""
_KERNELS = frozenset(
    {"debugfs", "tracefs", "securityfs", "fusectl", "pstore", "binfmt_misc", "efivarfs", "configfs", "bpf", "hugetlbfs"}
)
_HARMLESS = frozenset(
    {"defaults", "rw", "bind", "rbind", "create=dir", "create=file", "rprivate", "private", "auto", "nofail", "dev"}
    | {"nodev", "nosuid", "relatime", "suid", "exec", "async", "nodiratime"}
)
"""Options that say what is so anyway. Devices do not open in a guest that were not given to it; set-user-ids count for
the guest's own ids alone."""
_BLOCK = re.compile(
    r"/dev/((sd|vd|xvd|hd)[a-z]+[0-9]*|nvme\d+n\d+(p\d+)?|(loop|md|dm-|nbd|zd|rbd|drbd)\d+.*|mapper/.+)\Z"
)
"""How block devices are called; the file itself is out of sight here."""
_ESCAPE = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, kw_only=True, slots=True)
class MountLine:
    """A line of fstab(5). target: below the guest's root, absolute."""

    source: str
    target: PurePosixPath
    kind: str
    options: tuple[str, ...] = ()

    def option(self, name: str) -> str | None:
        """Return the value of an option `name=value`."""
        return next((each.partition("=")[2] for each in self.options if each.startswith(f"{name}=")), None)


def read_mount_line(text: str) -> MountLine:
    """Return what a line says. Raises: ValueError if it has too few fields, or climbs out of the root."""
    fields = [_ESCAPE.sub(lambda found: chr(int(found[1], 8) % 128), each) for each in text.split()]
    if len(fields) < 2 or len(fields) > 6:
        raise ValueError(f"{quoted(text)} is no line of fstab(5): it has {len(fields)} fields")
    target = PurePosixPath("/" + fields[1].lstrip("/"))
    if ".." in target.parts or "\0" in text:
        raise ValueError(f"the mount point {quoted(fields[1])} climbs with '..'")
    options = tuple(filter(None, fields[3].split(","))) if len(fields) > 3 else ()
    return MountLine(source=fields[0], target=target, kind=fields[2] if len(fields) > 2 else "none", options=options)


def escaped(text: str | PurePosixPath) -> str:
    """Return a field as a line of fstab(5) has it."""
    return "".join(f"\\{ord(each):03o}" if each in " \t\n\\" else each for each in str(text))


def take_mount(draft: DomainDraft, entry: ForeignEntry, line: MountLine) -> None:
    """Make a device of the domain from a mount, or note why there is none."""
    if line.kind in GIVEN_ANYWAY:
        return
    if line.kind in _KERNELS or line.target.is_relative_to("/sys") or line.target.is_relative_to("/proc"):
        draft.lost(entry, f"{line.target}: a guest's /proc and /sys are covered where they are the host's own")
        return
    made = _filesystem(draft, entry, line)
    if made is not None:
        draft.filesystems.append(made)
    if any(each == "optional" or each == "nofail" for each in line.options):
        draft.changed(entry, f"{line.target}: what is to be mounted must be there at each start", "else take it out")
    noted = [each for each in line.options if each.partition("=")[0] not in _TAKEN and each not in _HARMLESS]
    if noted and made is not None:
        draft.changed(entry, f"{line.target}: without the options {quoted(', '.join(noted))}")


_MAPPED = frozenset({"idmap", "ridmap"})
"""Options by which a mount shows the guest's owners, of LXC and of OCI runtimes."""
_TAKEN = _MAPPED | {"ro", "size", "optional", "relative", "nofail", "loop"}


def _filesystem(draft: DomainDraft, entry: ForeignEntry, line: MountLine) -> Filesystem | None:
    """Return the file system; a device's node becomes a host device of draft instead."""
    read_only = "ro" in line.options
    if line.kind == "tmpfs":
        return Filesystem(
            type=FilesystemType.RAM,
            source=FilesystemSource(usage=_usage(draft, entry, line)),
            target=line.target,
            read_only=read_only,
        )
    if "relative" in line.options and {"bind", "rbind"} & set(line.options):
        source = PurePosixPath("/" + line.source.lstrip("/"))
        if source.is_relative_to("/dev") or source.is_relative_to("/proc"):
            draft.lost(entry, f"{line.target} is covered by {source}", "a guest's /proc is covered where it is to be")
            return None
        return Filesystem(
            type=FilesystemType.BIND, source=FilesystemSource(directory=source), target=line.target, read_only=read_only
        )
    path = draft.path(entry, line.source)
    if path is None:
        return None
    if {"bind", "rbind"} & set(line.options):
        return _bind(draft, entry, path, line)
    if path.is_relative_to("/dev"):
        return Filesystem(
            type=FilesystemType.BLOCK, source=FilesystemSource(device=path), target=line.target, read_only=read_only
        )
    if "loop" in line.options:
        return Filesystem(
            type=FilesystemType.FILE, source=FilesystemSource(file=path), target=line.target, read_only=read_only
        )
    draft.lost(entry, f"{line.target}: the type {quoted(line.kind)} is not mounted", "mount it on the host and bind it")
    return None


def _bind(draft: DomainDraft, entry: ForeignEntry, path: PurePosixPath, line: MountLine) -> Filesystem | None:
    if path.is_relative_to("/sys") or path.is_relative_to("/proc"):
        draft.lost(entry, f"{path} is the host's own", "a guest finds its own at its place")
        return None
    if not path.is_relative_to("/dev") or path.is_relative_to("/dev/shm"):
        # Without a word of it owners are the host's, which a guest with ids of its own sees as nobody.
        mapped = any(each.partition("=")[0] in _MAPPED for each in line.options)
        return Filesystem(
            source=FilesystemSource(directory=path),
            target=line.target,
            read_only="ro" in line.options,
            idmap=None if mapped else OnOff.OFF,
        )
    if "create=dir" in line.options or path == PurePosixPath("/dev"):
        draft.lost(entry, f"{path} is a directory of devices", "give each one by a <hostdev mode='capabilities'>")
        return None
    draft.host_devices.append(device_node(path))
    if path != line.target:
        draft.changed(entry, f"the device is {path} in the guest, as on the host, not {line.target}")
    return None


def device_node(path: PurePosixPath, *, block: bool | None = None) -> HostDevice:
    """Return the device of the host with this node. block: whether it is a block device, None for by its name."""
    if block if block is not None else _BLOCK.match(str(path)):
        kind, source = HostDeviceType.STORAGE, HostDeviceSource(block=path)
    else:
        kind, source = HostDeviceType.MISC, HostDeviceSource(character=path)
    return HostDevice(mode=HostDeviceMode.CAPABILITIES, type=kind, source=source)


def _usage(draft: DomainDraft, entry: ForeignEntry, line: MountLine) -> KiB:
    """Return how large a tmpfs may be: what it says, else what it gets by itself is not known here, so a fixed size."""
    size = line.option("size")
    if size is not None:
        try:
            return max(KiB(4), kib_of(read_size(size)))
        except ValueError:
            pass
    draft.changed(
        entry, f"{line.target}: a file system in memory has a size here, {_RAM_MIB} MiB", "change <source usage>"
    )
    return KiB(_RAM_MIB * 1024)


_RAM_MIB = 64


def mount_line(source: object, target: PurePosixPath, kind: str, options: Iterable[str]) -> str:
    """Return the line of fstab(5), its target below the root and without the first slash."""
    return f"{escaped(str(source))} {escaped(str(target).lstrip('/'))} {kind} {','.join(options)} 0 0"
