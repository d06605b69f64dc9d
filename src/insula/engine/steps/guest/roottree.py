"""Steps that put the guest's file system tree together, below a root that is not yet the root.

Everything below the root is walked by fd and cannot leave it: what an image contains may be hostile.
"""

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from insula.engine.program.assembly import Argument, Label, Pointer
from insula.engine.program.builder import Builder
from insula.engine.steps.guest.gueststep import GuestStep
from insula.kernel.beneath import CONTAINED
from insula.kernel.fds import AT_FDCWD
from insula.kernel.mounts import AT_EMPTY_PATH, MountAttribute, Propagation

KERNEL_FILESYSTEMS = {
    magic: f"a mount may not take from nor land in {name}" for magic, name in ((0x9FA0, "proc"), (0x62656572, "sysfs"))
}
"""Where no mount of a user may land, and what is said then. Source: linux/magic.h."""

ATTRIBUTES = {
    "ro": MountAttribute.READ_ONLY,
    "nosuid": MountAttribute.NO_SUID,
    "nodev": MountAttribute.NO_DEVICES,
    "noexec": MountAttribute.NO_EXEC,
    "noatime": MountAttribute.NO_ACCESS_TIME,
}


def attributes_of(names: Sequence[str]) -> MountAttribute:
    attributes = MountAttribute.NOTHING
    for name in names:
        attributes |= ATTRIBUTES[name]
    return attributes


@dataclass(frozen=True, kw_only=True, slots=True)
class KeepMountsPrivate(GuestStep):
    """Stop mounts from travelling into or out of this mount namespace."""

    phrase: ClassVar[str] = "stop mounts from travelling in or out"

    def compile(self, program: Builder) -> None:
        program.change(AT_FDCWD, "/", propagation=Propagation.PRIVATE, recursive=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class ShareMounts(GuestStep):
    """Have what is mounted from here on travel to mount namespaces made inside later, as on a host run by systemd.

    Every mount leaves whatever group of the host's it may still be in first, so that nothing travels out.
    Source: mount_namespaces(7), "Shared subtrees".
    """

    phrase: ClassVar[str] = "share all mounts with the guest's own mount namespaces"

    def compile(self, program: Builder) -> None:
        for propagation in (Propagation.PRIVATE, Propagation.SHARED):
            program.change(AT_FDCWD, "/", propagation=propagation, recursive=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenStaged(GuestStep):
    """Open this namespace's own copies of the trees that the keeper has staged: their attributes are locked."""

    phrase: ClassVar[str] = "take {names} from the keeper's stage"

    names: list[str]

    def compile(self, program: Builder) -> None:
        for name in self.names:
            program.keep_tree(name, program.open_staged(name))


@dataclass(frozen=True, kw_only=True, slots=True)
class AttachRoot(GuestStep):
    """Show the tree named source at a directory of ours; it is the root for all that follows."""

    phrase: ClassVar[str] = "attach the root file system"

    source: str
    place: str = "/root"

    def compile(self, program: Builder) -> None:
        tree = program.tree(self.source)
        target = program.open(self.place, os.O_PATH | os.O_DIRECTORY)
        program.attach(tree, target)
        program.close(target)
        program.root = tree


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

    def compile(self, program: Builder) -> None:
        mount = program.make_filesystem(self.fstype, self.options, attributes=attributes_of(self.attributes))
        program.keep_tree(self.name, mount)


@dataclass(frozen=True, kw_only=True, slots=True)
class AttachFilesystem(GuestStep):
    """Show a tree at a directory that only we lay out: no links on the way."""

    phrase: ClassVar[str] = "show {source} at /{target}"

    source: str
    target: str

    def compile(self, program: Builder) -> None:
        program.attach_beneath(program.rooted(), self.target, program.tree(self.source))


@dataclass(frozen=True, kw_only=True, slots=True)
class MountFilesystem(GuestStep):
    """Make a file system of the kernel's own, and show it at a directory that only we lay out."""

    phrase: ClassVar[str] = "mount {fstype} at /{target}"

    fstype: str
    target: str
    options: list[list[str | None]]
    attributes: list[str]

    def compile(self, program: Builder) -> None:
        mount = program.make_filesystem(self.fstype, self.options, attributes=attributes_of(self.attributes))
        program.attach_beneath(program.rooted(), self.target, mount)
        program.close(mount)


@dataclass(frozen=True, kw_only=True, slots=True)
class AttachMount(GuestStep):
    """Show a tree that was passed at target, a path as the guest sees it: its links count, inside its root."""

    phrase: ClassVar[str] = "show {source} at {target}"

    source: str
    target: str

    def compile(self, program: Builder) -> None:
        mount = program.tree(self.source)
        for is_directory in program.either_kind(mount):
            _attach_at(program, mount, self.target, directory=is_directory)


@dataclass(frozen=True, kw_only=True, slots=True)
class ShowElsewhere(GuestStep):
    """Show a directory or file of the guest's own tree at another place inside it, with what is mounted below it."""

    phrase: ClassVar[str] = "show the guest's {source} at {target}"

    source: str
    target: str
    read_only: bool

    def compile(self, program: Builder) -> None:
        found = program.open_beneath(program.rooted(), self.source, os.O_PATH, resolve=CONTAINED)
        program.refuse_filesystems(found, KERNEL_FILESYSTEMS, self.source)
        copy = program.copy_of(found)
        if self.read_only:
            program.change(copy, add=MountAttribute.READ_ONLY, recursive=True)
        for is_directory in program.either_kind(found):
            _attach_at(program, copy, self.target, directory=is_directory)
        program.close(copy)
        program.close(found)


@dataclass(frozen=True, kw_only=True, slots=True)
class MountMemory(GuestStep):
    """Mount an empty file system in memory where a user wants it. size: bytes, None for the kernel's default."""

    phrase: ClassVar[str] = "mount memory at {target}"

    target: str
    size: int | None
    mode: int
    read_only: bool

    def compile(self, program: Builder) -> None:
        options = [("mode", f"{self.mode:o}")]
        if self.size is not None:
            options.append(("size", str(self.size)))
        attributes = MountAttribute.READ_ONLY if self.read_only else MountAttribute.NOTHING
        mount = program.make_filesystem("tmpfs", options, attributes=attributes)
        _attach_at(program, mount, self.target, directory=True)
        program.close(mount)


def _attach_at(program: Builder, mount: Argument, path: str, *, directory: bool) -> None:
    """Show a mount where a user wants it, as the guest would find the path."""
    target = program.place(program.rooted(), path, resolve=CONTAINED, directory=directory)
    program.refuse_filesystems(target, KERNEL_FILESYSTEMS, path)
    program.attach(mount, target)
    program.close(target)


@dataclass(frozen=True, kw_only=True, slots=True)
class TakeRoot(GuestStep):
    """Work below the root that this process has, in a guest that runs."""

    phrase: ClassVar[str] = "work below the guest's root"

    def compile(self, program: Builder) -> None:
        program.root = program.open("/", os.O_PATH | os.O_DIRECTORY)


@dataclass(frozen=True, kw_only=True, slots=True)
class DetachMount(GuestStep):
    """Take a mount off again that was attached at target; whatever else is there by now stays.

    device, inode: what its top is; force: in use or not. A file's mount, and one that must be idle, is named by its
    path, which the guest may change meanwhile: it can have another mount of its own taken off instead.
    """

    phrase: ClassVar[str] = "take the mount off {target}"

    target: str
    device: int
    inode: int
    force: bool = True

    def compile(self, program: Builder) -> None:
        other = Label()
        found, facts = mount_at(program, self.target)
        for offset, value in (
            (_INODE, self.inode & _HALF),
            (_INODE + 4, self.inode >> 32),
            (_DEVICE, os.major(self.device)),
            (_DEVICE + 4, os.minor(self.device)),
        ):
            program.skip_unless(facts.beyond(offset), value, other)
        take_off_found(program, found, self.target, other, force=self.force)
        program.here(other)
        program.call("close", found, whatever=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class TakeMountOff(GuestStep):
    """Take the mount of that id off target, or fail. force: in use or not; else named by its path, as above."""

    phrase: ClassVar[str] = "take mount {mount} off {target}"

    target: str
    mount: int
    force: bool

    def compile(self, program: Builder) -> None:
        other, locked, done = Label(), Label(), Label()
        found, facts = mount_at(program, self.target)
        skip_unless_mount(program, facts, self.mount, other)
        take_off_found(program, found, self.target, locked, force=self.force)
        program.skip(done)
        program.here(locked)
        program.fail(errno.EPERM, "it is locked, as part of what the guest was started with", about=self.target)
        program.here(other)
        program.fail(errno.ESTALE, "another mount is there by now", about=self.target)
        program.here(done)
        program.call("close", found, whatever=True)


def mount_at(program: Builder, target: str) -> tuple[Argument, Pointer]:
    """Return what is found at a path of the guest's, and facts of it.

    Where nothing can be looked up, nothing of ours is: the facts are zeros then.
    """
    facts = program.room(_FACTS_SIZE)
    found = program.open_beneath(program.rooted(), target, os.O_PATH, resolve=CONTAINED, whatever=True)
    program.call("statx", found, program.text(""), AT_EMPTY_PATH, _FACTS, facts, whatever=True)
    return found, facts


def skip_unless_mount(program: Builder, facts: Pointer, mount: int, other: Label) -> None:
    """Go on at other unless these are facts of the mount of that id."""
    program.skip_unless(facts.beyond(_MOUNT), mount & _HALF, other)
    program.skip_unless(facts.beyond(_MOUNT + 4), mount >> 32, other)


def take_off_found(program: Builder, found: Argument, target: str, none: Label, *, force: bool = True) -> None:
    """Take a mount off that was found at target; go on at none if it is no mount, or one that stays.

    force: in use or not; else found is closed on the way, which would be a use of it.
    """
    if not force:
        program.close(found)
        program.take_off_idle(target, none)
        return
    for is_directory in program.either_kind(found):
        if is_directory:
            program.call("fchdir", found)
            program.take_off(".", none)
            program.change_directory("/")
        else:
            program.take_off(target, none)


_FACTS = 0x17FF
"""The basic ones, and the mount's id (STATX_BASIC_STATS, STATX_MNT_ID)."""
_INODE, _DEVICE, _MOUNT = 32, 136, 144
"""Where they are in struct statx. Source: statx(2), linux/stat.h."""
_FACTS_SIZE = 256
_HALF = (1 << 32) - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class WriteSettings(GuestStep):
    """Write settings of the container's own namespaces. settings: pairs of a path below /proc/sys and a value."""

    phrase: ClassVar[str] = "set {settings}"

    settings: list[list[str]]

    def compile(self, program: Builder) -> None:
        means = {
            errno.ENOENT: "this kernel has no such setting, or has it for the whole host only ({error})",
            errno.EACCES: "this kernel lets no guest change it ({error})",
            errno.EPERM: "this kernel lets no guest change it ({error})",
            errno.EINVAL: "the kernel does not take the value ({error})",
        }
        for path, value in self.settings:
            program.write_beneath(program.rooted(), f"proc/sys/{path}", value, means=means)


@dataclass(frozen=True, kw_only=True, slots=True)
class MakeFile(GuestStep):
    """Make a small file where only we lay out, with its directories; replaces what is there, a link itself included."""

    phrase: ClassVar[str] = "write {path}"

    path: str
    content: str
    mode: int = 0o444

    def compile(self, program: Builder) -> None:
        parent, _, name = self.path.rpartition("/")
        directory = program.make_directories(program.rooted(), parent, resolve=CONTAINED)
        program.remove_beneath(directory, name)
        program.create_beneath(directory, name, self.content, mode=self.mode)
        program.close(directory)


@dataclass(frozen=True, kw_only=True, slots=True)
class PivotRoot(GuestStep):
    """Make the attached root the root, and drop the former one with all below it. Source: pivot_root(2), NOTES."""

    phrase: ClassVar[str] = "make it the root, and drop the former one"

    def compile(self, program: Builder) -> None:
        program.call("fchdir", program.rooted())
        program.pivot_root(".", ".")
        program.detach(".")
        program.change_directory("/")
