"""The words by which guest steps say what they are: those of `kernel.mounts`, and of files (`filebuilder`), as records.

    found = program.open_beneath(program.root, "dev/pts", os.O_RDONLY | os.O_DIRECTORY)
    for is_directory in program.either_kind(tree):
        target = program.place(program.root, "srv/data", directory=is_directory)
        program.attach(tree, target)

Nothing is done when such a word is called: it adds records, and returns what will be known when they are played.
"""

import errno
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from insula.engine.program.assembly import Argument, Label, Means, Pointer, Result
from insula.engine.program.filebuilder import FileBuilder
from insula.engine.program.late import Late
from insula.kernel.beneath import STRICT
from insula.kernel.fds import AT_FDCWD
from insula.kernel.mounts import (
    AT_EMPTY_PATH,
    AT_RECURSIVE,
    MNT_DETACH,
    UMOUNT_NOFOLLOW,
    FilesystemCommand,
    MountAttribute,
    MoveMount,
    OpenTree,
    Propagation,
)
from insula.kernel.process import ProcessControl

_ATTRIBUTES = struct.Struct("<QQQQ")
"""struct mount_attr: set, clear, propagation, userns_fd. Source: mount_setattr(2)."""
STAGE = "/stage"
"""Where the keeper stages trees, as processes find it that it has cloned (`keeper.mountspace`)."""


class Builder(FileBuilder):
    """A program under construction, and what its steps have in hands.

    root: the root to be, set by the step that attaches it; terminals: masters of the terminals it made, to be handed
    to the keeper; account: where it is told who to become; home: a text HOME=… of the user it becomes, set by the step
    that does; hold: whether the program is to wait right before it executes; permitted: the mask of capabilities that a
    process of the guest can have at most; last_capability: the kernel's highest; stage: the name under which the
    keeper has staged trees; most_groups: how many groups the user it becomes may have.
    """

    def __init__(
        self,
        *,
        last_capability: int,
        permitted: int,
        hold: bool = False,
        stage: str = "",
        most_groups: int = 0,
        machine: str | None = None,
        lates: Sequence[Late] = (),
    ) -> None:
        super().__init__(machine=machine, lates=lates)
        self.last_capability = last_capability
        self.permitted = permitted
        self.hold = hold
        self.stage = stage
        self.most_groups = most_groups
        self.root: Argument | None = None
        self.terminals: list[Argument] = []
        self.account: Pointer | None = None
        self.home: Pointer | None = None
        self._trees: dict[str, Argument] = {}

    # What the steps have in hands

    def tree(self, name: str) -> Argument:
        """Return a tree that was made or opened under that name, else one that is passed."""
        found = self._trees.get(name)
        return self.passed(name) if found is None else found

    def keep_tree(self, name: str, tree: Argument) -> None:
        self._trees[name] = tree

    def learnt_account(self) -> Pointer:
        """Return where it is told who to become. Raises: ValueError before it is."""
        if self.account is None:
            raise ValueError("who to become is not known yet")
        return self.account

    def rooted(self) -> Argument:
        """Return the root to be. Raises: ValueError before it is attached."""
        if self.root is None:
            raise ValueError("there is no root yet")
        return self.root

    # Mounts

    def open_staged(self, name: str) -> Result:
        """Open this namespace's own copy of a tree that the keeper has staged."""
        path = self.text(self.stage, before=f"{STAGE}/", behind=f"/{name}")
        return self.call("openat", AT_FDCWD, path, os.O_PATH | os.O_CLOEXEC, 0, about=name)

    def open_tree(self, directory: Argument, path: str, flags: int) -> Result:
        return self.call("open_tree", directory, self.text(path), flags | OpenTree.CLOEXEC, about=path)

    def detached_copy(self, path: str, *, recursive: bool = False, directory: Argument = AT_FDCWD) -> Result:
        return self.open_tree(directory, path, OpenTree.CLONE | (OpenTree.RECURSIVE if recursive else 0))

    def copy_if_there(self, directory: Argument, path: str) -> tuple[Result, Pointer]:
        """Return a detached copy of what is mounted at path, and where 0 stands if there is one."""
        missing, there, lost = self.room(4), Label(), Label()
        copy = self.call(
            "open_tree",
            directory,
            self.text(path),
            OpenTree.CLONE | OpenTree.CLOEXEC,
            about=path,
            unless=(errno.ENOENT, lost),
        )
        self.skip(there)
        self.here(lost)
        self.store(missing, 1)
        self.here(there)
        return copy, missing

    def copy_of(self, fd: Argument) -> Result:
        """Return a detached copy of what is mounted at an open file and below it."""
        return self.open_tree(fd, "", OpenTree.CLONE | OpenTree.EMPTY_PATH | OpenTree.RECURSIVE)

    def attach(self, mount: Argument, target: Argument) -> None:
        nothing = self.text("")
        flags = MoveMount.FROM_EMPTY_PATH | MoveMount.TO_EMPTY_PATH
        self.call("move_mount", mount, nothing, target, nothing, flags)

    def attach_under(
        self,
        mount: Argument,
        top: Argument,
        *,
        unless: tuple[int, Label] | None = None,
        means: Means = "",
        about: str = "",
    ) -> None:
        """Attach a mount beneath the one whose top is an open file, since Linux 6.5."""
        nothing = self.text("")
        flags = MoveMount.FROM_EMPTY_PATH | MoveMount.TO_EMPTY_PATH | MoveMount.BENEATH
        self.call("move_mount", mount, nothing, top, nothing, flags, unless=unless, means=means, about=about)

    def attach_beneath(self, root: Argument, path: str, mount: Argument) -> None:
        """Show a mount at a directory that only we lay out: no links on the way."""
        target = self.place(root, path, resolve=STRICT)
        self.attach(mount, target)
        self.close(target)

    @contextmanager
    def attached_for_a_moment(self, mount: Argument, target: Argument) -> Iterator[None]:
        """Have a mount attached while parts of it are copied: before Linux 6.15 only what is attached somewhere can be.

        What it covers meanwhile is reached by its descriptor. The working directory is the root afterwards.
        """
        self.attach(mount, target)
        yield
        self.call("fchdir", mount)
        self.detach(".")
        self.change_directory("/")

    def change(
        self,
        mount: Argument,
        path: str = "",
        *,
        add: MountAttribute = MountAttribute.NOTHING,
        remove: MountAttribute = MountAttribute.NOTHING,
        propagation: Propagation = Propagation.UNCHANGED,
        recursive: bool = False,
    ) -> None:
        attributes = self.constant(_ATTRIBUTES.pack(add, remove, propagation, 0))
        flags = (0 if path else AT_EMPTY_PATH) | (AT_RECURSIVE if recursive else 0)
        self.call("mount_setattr", mount, self.text(path), flags, attributes, _ATTRIBUTES.size)

    def make_filesystem(
        self,
        fstype: str,
        options: Sequence[Sequence[str | None]] = (),
        *,
        attributes: MountAttribute = MountAttribute.NOTHING,
    ) -> Result:
        """Return a new file system, attached nowhere. options: pairs of key and value, None for a bare flag."""
        context = self.call("fsopen", self.text(fstype), 1, about=fstype)
        for key, value in (("source", fstype), *options):
            # Another guest's program may be made of this one.
            said = f"{fstype}: {key}" if value is None or isinstance(value, Late) else f"{fstype}: {key}={value}"
            command = FilesystemCommand.SET_FLAG if value is None else FilesystemCommand.SET_STRING
            content: Argument = 0 if value is None else self.text(value)
            self.call("fsconfig", context, command, self.text(str(key)), content, 0, about=said)
        self.call("fsconfig", context, FilesystemCommand.CREATE, 0, 0, 0, about=fstype)
        mount = self.call("fsmount", context, 1, attributes, about=fstype)
        self.close(context)
        return mount

    def pivot_root(self, new: str, old: str) -> None:
        self.call("pivot_root", self.text(new), self.text(old))

    def detach(self, path: str) -> None:
        self.call("umount2", self.text(path), MNT_DETACH)

    def take_off(self, path: str, none: Label) -> None:
        """Detach the mount whose top a path is, its last link not followed; go on at none if it is no mount's."""
        self.call("umount2", self.text(path), MNT_DETACH | UMOUNT_NOFOLLOW, unless=(errno.EINVAL, none), about=path)

    def take_off_idle(self, path: str, none: Label) -> None:
        """Unmount what a path is the top of; fail with EBUSY if it is in use, go on at none if it is no mount's."""
        means = {errno.EBUSY: "it is in use"}
        self.call("umount2", self.text(path), 0, unless=(errno.EINVAL, none), means=means, about=path)

    def change_directory(self, path: str) -> None:
        self.call("chdir", self.text(path), about=path)

    # The process

    def unshare(self, kinds: int) -> None:
        self.call("unshare", kinds)

    def setns(self, fd: Argument, kinds: int) -> None:
        self.call("setns", fd, kinds)

    def prctl(self, option: int, second: Argument = 0, third: Argument = 0) -> None:
        self.call("prctl", option, second, third, 0, 0)

    def set_dumpable(self, dumpable: bool) -> None:
        self.prctl(ProcessControl.SET_DUMPABLE, int(dumpable))

    def every_capability(self) -> int:
        """Return the mask of all that a process of the guest can have."""
        return (1 << self.last_capability + 1) - 1 & self.permitted

    def fail(self, code: int, means: str, *, about: str = "") -> None:
        """Fail, whatever was before."""
        self.require(self.constant(bytes(4)), 1, means=means, code=code, about=about)

    def set_ids(self, uid: Argument, gid: Argument) -> None:
        """Become a user for good, without further groups."""
        self.call("setresgid", gid, gid, gid)
        self.call("setgroups", 0, 0)
        self.call("setresuid", uid, uid, uid)
