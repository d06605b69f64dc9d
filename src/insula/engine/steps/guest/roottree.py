"""Steps that put the guest's file system tree together, below a root that is not yet the root.

Everything below the root is walked by fd and cannot leave it: what an image contains may be hostile.
"""

import contextlib
import errno
import os
import stat
from dataclasses import dataclass
from typing import ClassVar

from insula.engine.steps.guest.gueststep import ChildContext, GuestStep
from insula.kernel.beneath import (
    CONTAINED,
    STRICT,
    create_beneath,
    make_directories,
    open_beneath,
    place,
    write_beneath,
)
from insula.kernel.fds import AT_FDCWD, Fd
from insula.kernel.mounts import (
    MountAttribute,
    OpenTree,
    Propagation,
    attach,
    change,
    detach,
    detached_copy,
    filesystem_kind,
    make_filesystem,
    open_tree,
    pivot_root,
)

KERNEL_FILESYSTEMS = {0x9FA0: "proc", 0x62656572: "sysfs"}
"""Where no mount of a user may land. Source: linux/magic.h."""

ATTRIBUTES = {
    "ro": MountAttribute.READ_ONLY,
    "nosuid": MountAttribute.NO_SUID,
    "nodev": MountAttribute.NO_DEVICES,
    "noexec": MountAttribute.NO_EXEC,
    "noatime": MountAttribute.NO_ACCESS_TIME,
}


def _attributes(names: list[str]) -> MountAttribute:
    attributes = MountAttribute.NOTHING
    for name in names:
        attributes |= ATTRIBUTES[name]
    return attributes


@dataclass(frozen=True, kw_only=True, slots=True)
class KeepMountsPrivate(GuestStep):
    """Stop mounts from travelling into or out of this mount namespace."""

    phrase: ClassVar[str] = "stop mounts from travelling in or out"

    def perform(self, context: ChildContext) -> None:
        change(AT_FDCWD, "/", propagation=Propagation.PRIVATE, recursive=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class AttachRoot(GuestStep):
    """Show the tree named source at a directory of ours; it is the root for all that follows."""

    phrase: ClassVar[str] = "attach the root file system"

    source: str
    place: str = "/root"

    def perform(self, context: ChildContext) -> None:
        tree = context.fds[self.source]
        target = os.open(self.place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        attach(tree, target)
        os.close(target)
        context.root = tree


@dataclass(frozen=True, kw_only=True, slots=True)
class MakeFilesystem(GuestStep):
    """Make a file system of the kernel's own, to be attached later.

    options: pairs of key and value (None for a flag); attributes: keys of ATTRIBUTES.
    """

    phrase: ClassVar[str] = "make a {fstype} as {name}"

    name: str
    fstype: str
    options: list[list[str | None]]
    attributes: list[str]

    def perform(self, context: ChildContext) -> None:
        context.fds[self.name] = _made(self.fstype, self.options, self.attributes)


@dataclass(frozen=True, kw_only=True, slots=True)
class AttachFilesystem(GuestStep):
    """Show a tree at a directory that only we lay out: no links on the way."""

    phrase: ClassVar[str] = "show {source} at /{target}"

    source: str
    target: str

    def perform(self, context: ChildContext) -> None:
        _attach_strictly(context.root, self.target, context.fds[self.source])


@dataclass(frozen=True, kw_only=True, slots=True)
class MountFilesystem(GuestStep):
    """Make a file system of the kernel's own, and show it at a directory that only we lay out."""

    phrase: ClassVar[str] = "mount {fstype} at /{target}"

    fstype: str
    target: str
    options: list[list[str | None]]
    attributes: list[str]

    def perform(self, context: ChildContext) -> None:
        mount = _made(self.fstype, self.options, self.attributes)
        _attach_strictly(context.root, self.target, mount)
        os.close(mount)


def _made(fstype: str, options: list[list[str | None]], attributes: list[str]) -> Fd:
    pairs: list[tuple[str, str | int | None]] = [("source", fstype)]
    pairs += [(str(key), value) for key, value in options]
    return make_filesystem(fstype, pairs, attributes=_attributes(attributes))


@dataclass(frozen=True, kw_only=True, slots=True)
class AttachMount(GuestStep):
    """Show a tree that was passed at target, a path as the guest sees it: its links count, inside its root."""

    phrase: ClassVar[str] = "show {source} at {target}"

    source: str
    target: str

    def perform(self, context: ChildContext) -> None:
        mount = context.fds[self.source]
        is_directory = stat.S_ISDIR(os.fstat(mount).st_mode)
        target = place(context.root, self.target, resolve=CONTAINED, directory=is_directory)
        try:
            _refuse_kernel_filesystem(target, self.target)
            attach(mount, target)
        finally:
            os.close(target)


@dataclass(frozen=True, kw_only=True, slots=True)
class ShowElsewhere(GuestStep):
    """Show a directory or file of the guest's own tree at another place inside it, with what is mounted below it."""

    phrase: ClassVar[str] = "show the guest's {source} at {target}"

    source: str
    target: str
    read_only: bool

    def perform(self, context: ChildContext) -> None:
        found = open_beneath(context.root, self.source, os.O_PATH, resolve=CONTAINED)
        try:
            _refuse_kernel_filesystem(found, self.source)
            copy = open_tree(found, "", OpenTree.CLONE | OpenTree.CLOEXEC | OpenTree.EMPTY_PATH | OpenTree.RECURSIVE)
            is_directory = stat.S_ISDIR(os.fstat(found).st_mode)
        finally:
            os.close(found)
        if self.read_only:
            change(copy, add=MountAttribute.READ_ONLY, recursive=True)
        target = place(context.root, self.target, resolve=CONTAINED, directory=is_directory)
        try:
            _refuse_kernel_filesystem(target, self.target)
            attach(copy, target)
        finally:
            os.close(target)
            os.close(copy)


@dataclass(frozen=True, kw_only=True, slots=True)
class MountMemory(GuestStep):
    """Mount an empty file system in memory where a user wants it. size: bytes, None for the kernel's default."""

    phrase: ClassVar[str] = "mount memory at {target}"

    target: str
    size: int | None
    mode: int
    read_only: bool

    def perform(self, context: ChildContext) -> None:
        options: list[tuple[str, str | int | None]] = [("mode", f"{self.mode:o}")]
        if self.size is not None:
            options.append(("size", str(self.size)))
        target = place(context.root, self.target, resolve=CONTAINED)
        try:
            _refuse_kernel_filesystem(target, self.target)
            attributes = MountAttribute.READ_ONLY if self.read_only else MountAttribute.NOTHING
            mount = make_filesystem("tmpfs", [("source", "tmpfs"), *options], attributes=attributes)
            attach(mount, target)
            os.close(mount)
        finally:
            os.close(target)


def _refuse_kernel_filesystem(target: Fd, path: str) -> None:
    name = KERNEL_FILESYSTEMS.get(filesystem_kind(target))
    if name is not None:
        raise OSError(errno.EPERM, f"a mount may not take from nor land in {name}", path)


@dataclass(frozen=True, kw_only=True, slots=True)
class ProtectPaths(GuestStep):
    """Make paths below the kernel's file systems read-only; those that do not exist are passed over."""

    phrase: ClassVar[str] = "make {paths} read-only, except {writable}"

    paths: list[str]
    writable: list[str]

    def perform(self, context: ChildContext) -> None:
        for path in self.paths:
            _cover_with_itself(context.root, path, MountAttribute.READ_ONLY, writable=self.writable)


def _cover_with_itself(root: Fd, path: str, attribute: MountAttribute, *, writable: list[str]) -> None:
    try:
        found = open_beneath(root, path, os.O_PATH)
    except FileNotFoundError:
        return
    kept = []
    for inner in writable:
        if inner.startswith(f"{path}/"):
            try:
                kept.append((inner, detached_copy(inner, directory=root)))
            except FileNotFoundError:
                continue
    copy = open_tree(found, "", OpenTree.CLONE | OpenTree.CLOEXEC | OpenTree.EMPTY_PATH | OpenTree.RECURSIVE)
    change(copy, add=attribute, recursive=True)
    attach(copy, found)
    os.close(copy)
    os.close(found)
    for inner, mount in kept:
        _attach_strictly(root, inner, mount)
        os.close(mount)


@dataclass(frozen=True, kw_only=True, slots=True)
class MaskPaths(GuestStep):
    """Cover files with an empty read-only one and directories likewise, where they exist."""

    phrase: ClassVar[str] = "hide {paths}"

    paths: list[str]

    def perform(self, context: ChildContext) -> None:
        for path in self.paths:
            try:
                found = open_beneath(context.root, path, os.O_PATH)
            except FileNotFoundError:
                continue
            cover = _empty_directory() if stat.S_ISDIR(os.fstat(found).st_mode) else _empty_file(context.root)
            attach(cover, found)
            os.close(cover)
            os.close(found)


_EMPTY = [("mode", "555"), ("size", "0"), ("nr_inodes", "2")]
_HARMLESS = ["nosuid", "nodev", "noexec"]


def _empty_directory() -> Fd:
    """Return a mount of an empty directory that is read-only for good."""
    return make_filesystem("tmpfs", _EMPTY, attributes=_attributes(["ro", *_HARMLESS]))


def _empty_file(root: Fd) -> Fd:
    """Return a mount of an empty file that is read-only for good.

    root: covered for a moment, since before Linux 6.15 only what is mounted somewhere can be copied in parts.
    """
    ground = make_filesystem("tmpfs", _EMPTY, attributes=_attributes(_HARMLESS))
    try:
        os.close(os.open("empty", os.O_CREAT | os.O_RDONLY | os.O_CLOEXEC, 0o444, dir_fd=ground))
        attach(ground, root)
        try:
            cover = detached_copy("empty", directory=ground)
        finally:
            detach(f"/proc/self/fd/{ground}")
    finally:
        os.close(ground)
    change(cover, add=MountAttribute.READ_ONLY)
    return cover


@dataclass(frozen=True, kw_only=True, slots=True)
class WriteSettings(GuestStep):
    """Write settings of the container's own namespaces. settings: pairs of a path below /proc/sys and a value."""

    phrase: ClassVar[str] = "set {settings}"

    settings: list[list[str]]

    def perform(self, context: ChildContext) -> None:
        for path, value in self.settings:
            write_beneath(context.root, f"proc/sys/{path}", value.encode())


@dataclass(frozen=True, kw_only=True, slots=True)
class MakeFile(GuestStep):
    """Make a small file where only we lay out, with its directories; replaces what is there, a link itself included."""

    phrase: ClassVar[str] = "write {path}"

    path: str
    content: str
    mode: int = 0o444

    def perform(self, context: ChildContext) -> None:
        parent, _, name = self.path.rpartition("/")
        directory = make_directories(context.root, parent, resolve=CONTAINED)
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=directory)
            create_beneath(directory, name, self.content.encode(), mode=self.mode)
        finally:
            os.close(directory)


@dataclass(frozen=True, kw_only=True, slots=True)
class MountForUnit(GuestStep):
    """Mount what a guest's systemd would mount by a unit that it has switched on, since it will not be able to.

    unit: such as `tmp.mount`; wanted_by: the target that starts it. Links of the guest's are not followed.
    """

    phrase: ClassVar[str] = "mount {fstype} at /{target} if the guest's {unit} would"

    unit: str
    wanted_by: str
    fstype: str
    target: str
    options: list[list[str | None]]
    attributes: list[str]

    def perform(self, context: ChildContext) -> None:
        wishes = (f"{place}/systemd/system/{self.wanted_by}.wants/{self.unit}" for place in ("etc", "usr/lib", "lib"))
        masked = _is_there(context.root, f"etc/systemd/system/{self.unit}")
        if masked or not any(_is_there(context.root, wish) for wish in wishes):
            return
        mount = _made(self.fstype, self.options, self.attributes)
        try:
            _attach_strictly(context.root, self.target, mount)
        finally:
            os.close(mount)


def _is_there(root: Fd, path: str) -> bool:
    """Whether a name is there, a link to anything included; directories on the way are looked up inside the root."""
    directory, _, name = path.rpartition("/")
    try:
        parent = open_beneath(root, directory, os.O_PATH | os.O_DIRECTORY, resolve=CONTAINED)
    except OSError:
        return False
    try:
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    finally:
        os.close(parent)
    return True


@dataclass(frozen=True, kw_only=True, slots=True)
class PivotRoot(GuestStep):
    """Make the attached root the root, and drop the former one with all below it. Source: pivot_root(2), NOTES."""

    phrase: ClassVar[str] = "make it the root, and drop the former one"

    def perform(self, context: ChildContext) -> None:
        os.fchdir(context.root)
        pivot_root(".", ".")
        detach(".")
        os.chdir("/")


def _attach_strictly(root: Fd, path: str, mount: Fd) -> None:
    target = place(root, path, resolve=STRICT)
    attach(mount, target)
    os.close(target)
