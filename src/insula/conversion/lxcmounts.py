"""Roots and mounts of LXC's configuration and file systems of a domain. Source: lxc.container.conf(5)."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath

from insula.conversion.domaindraft import DomainDraft
from insula.conversion.foreigndocument import ForeignEntry, quoted
from insula.conversion.fstabs import mount_line, read_mount_line, take_mount
from insula.model.domain import DomainDefinition
from insula.model.filesystems import (
    ROOT,
    Filesystem,
    FilesystemDriver,
    FilesystemDriverType,
    FilesystemSource,
    FilesystemType,
)

_AUTOMATIC = {
    "proc",
    "proc:mixed",
    "sys",
    "sys:ro",
    "sys:mixed",
    "cgroup",
    *(f"cgroup:{access}{force}" for access in ("mixed", "ro", "rw") for force in ("", ":force")),
}
"""What a guest has, or is better off without: its own /proc, /sys, and its own part of the control groups."""
_LATER = "an image that nbd serves is mounted only if it is raw"
_LATER_ADVICE = "convert it (qemu-img convert -O raw), or copy it into a directory"
_IDMAPPED = frozenset({"idmap=container"})


def read_root(draft: DomainDraft, entry: ForeignEntry) -> None:
    """Read lxc.rootfs.path, with the storage that stands before a colon in it, and lxc.rootfs.options."""
    if entry.key.endswith("options"):
        _options(draft, entry)
        return
    if entry.key.endswith("backend"):
        if entry.value not in ("dir", "btrfs", "zfs"):
            draft.changed(entry, "what a root is, is told by what its path begins with")
        return
    kind, colon, rest = entry.value.partition(":")
    if not colon or kind.startswith("/"):
        kind, rest = ("block" if entry.value.startswith("/dev/") else "dir"), entry.value
    path = _path_of(draft, entry, kind, rest)
    read_only = draft.root.read_only if draft.root is not None else False
    if path is None:
        draft.root = None
        return
    if path == ROOT:
        draft.lost(entry, "the host's own root is no guest's", "make a tree of its own for the guest")
        return
    match kind:
        case "dir" | "btrfs" | "zfs":
            made = Filesystem(source=FilesystemSource(directory=path), target=ROOT)
        case "block" | "lvm" | "rbd":
            made = Filesystem(type=FilesystemType.BLOCK, source=FilesystemSource(device=path), target=ROOT)
        case "loop" | "nbd":
            if kind == "nbd":
                draft.changed(entry, _LATER, _LATER_ADVICE)
            driver = FilesystemDriverType.LOOP if kind == "loop" else FilesystemDriverType.NBD
            made = Filesystem(
                type=FilesystemType.FILE,
                driver=FilesystemDriver(type=driver),
                source=FilesystemSource(file=path),
                target=ROOT,
            )
        case _:
            made = Filesystem(source=FilesystemSource(directory=path), target=ROOT, read_only=True)
    draft.root = replace(made, read_only=read_only or made.read_only)


def _path_of(draft: DomainDraft, entry: ForeignEntry, kind: str, rest: str) -> PurePosixPath | None:
    """Return the path of a storage; None, and a finding, if there is none that could be a root."""
    if kind in ("overlay", "overlayfs", "aufs"):
        *lowers, upper = rest.split(":") if ":" in rest else (rest, "")
        draft.changed(
            entry,
            f"the layer {quoted(upper)} is left out, and {quoted(lowers[-1])} below it is read-only",
            "copy both into one directory while LXC has them mounted, or build an image of the lower one",
        )
        return draft.path(entry, lowers[-1])
    if kind == "nbd" and ":" in rest:
        draft.lost(entry, "a partition of an image is no root", "copy it into a directory")
        return None
    if kind not in ("dir", "btrfs", "zfs", "lvm", "rbd", "loop", "nbd", "block"):
        draft.unknown(entry, f"no storage {quoted(kind)} is known", "name a directory")
        return None
    return draft.path(entry, rest)


def _options(draft: DomainDraft, entry: ForeignEntry) -> None:
    options = [each for each in entry.value.split(",") if each]
    if "ro" in options and draft.root is not None:
        draft.root = replace(draft.root, read_only=True)
    odd = [each for each in options if each not in ("ro", "rw", "defaults") and each not in _IDMAPPED]
    if odd:
        draft.changed(entry, f"a root is mounted without the options {quoted(', '.join(odd))}")


def root_keys(domain: DomainDefinition) -> Iterator[tuple[str, str]]:
    root = domain.root
    source = _root_source(root) if root is not None else None
    if root is None or source is None:
        return
    yield "lxc.rootfs.path", source
    options = ["ro"] if root.read_only else []
    if not domain.settings.privileged and root.is_mapped:
        options += sorted(_IDMAPPED)
    if options:
        yield "lxc.rootfs.options", ",".join(options)


def _root_source(root: Filesystem) -> str | None:
    match root.type, root.source:
        case FilesystemType.MOUNT, FilesystemSource(directory=PurePosixPath() as path):
            return f"dir:{path}"
        case FilesystemType.BLOCK, FilesystemSource(device=PurePosixPath() as path):
            return str(path)
        case FilesystemType.FILE, FilesystemSource(file=PurePosixPath() as path):
            is_nbd = root.driver is not None and root.driver.type is FilesystemDriverType.NBD
            return f"{'nbd' if is_nbd else 'loop'}:{path}"
    return None


def read_automatic(draft: DomainDraft, entry: ForeignEntry) -> None:
    """Read lxc.mount.auto: what a guest finds mounted anyway says nothing new."""
    for word in entry.value.split():
        if word in ("proc:rw", "sys:rw") or word.startswith("cgroup-full"):
            draft.changed(entry, f"{quoted(word)}: what is the host's own stays covered or read-only")
        elif word.startswith("shmounts:"):
            draft.lost(entry, "no mounts are sent into a guest that way", "insula device add gives it directories")
        elif word not in _AUTOMATIC:
            draft.unknown(entry, f"nothing called {quoted(word)} is mounted")


def read_mount_entry(draft: DomainDraft, entry: ForeignEntry) -> None:
    """Read a line of fstab(5), or note that the file that holds them was not handed over."""
    if entry.key.endswith(("fstab", "lxc.mount")):
        draft.lost(entry, f"the file {quoted(entry.value)} was not handed over", "insula config import reads it")
        return
    try:
        line = read_mount_line(entry.value)
    except ValueError as error:
        draft.lost(entry, str(error))
        return
    if line.target == ROOT:
        draft.lost(entry, "it is mounted at /, where the root is")
        return
    take_mount(draft, entry, line)


def lxc_mount_keys(domain: DomainDefinition) -> Iterator[tuple[str, str]]:
    """Yield a line for each file system beside the root, and for each node of the host."""
    for each in domain.devices.filesystems:
        line = None if each.is_root else _line(each, maps=not domain.settings.privileged)
        if line is not None:
            yield "lxc.mount.entry", line
    for device in domain.devices.host_devices:
        node = device.source.character or device.source.block
        if node is not None:
            yield "lxc.mount.entry", mount_line(node, node, "none", ("bind", "create=file"))


def _line(filesystem: Filesystem, *, maps: bool) -> str | None:
    """Return the line of a file system; None: LXC has to be told more than a domain says.

    maps: whether there are ids of its own under which a directory is shown.
    """
    source, access = filesystem.source, "ro" if filesystem.read_only else "rw"
    match filesystem.type:
        case FilesystemType.MOUNT if source.directory is not None:
            mapping = sorted(_IDMAPPED) if maps and filesystem.is_mapped else ()
            return mount_line(source.directory, filesystem.target, "none", ("rbind", access, "create=dir", *mapping))
        case FilesystemType.RAM if source.usage is not None:
            options = (access, f"size={source.usage}k", "create=dir")
            return mount_line("tmpfs", filesystem.target, "tmpfs", options)
        case FilesystemType.BIND if source.directory is not None:
            inside = str(source.directory).lstrip("/")
            return mount_line(inside, filesystem.target, "none", ("rbind", "relative", access, "create=dir"))
    return None
