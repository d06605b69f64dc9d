"""The words by which guest steps say what they are: those of `kernel.mounts` and `kernel.beneath`, as records.

    found = program.open_beneath(program.root, "dev/pts", os.O_RDONLY | os.O_DIRECTORY)
    for is_directory in program.either_kind(tree):
        target = program.place(program.root, "srv/data", directory=is_directory)
        program.attach(tree, target)

Nothing is done when such a word is called: it adds records, and returns what will be known when they are played.
"""

import errno
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from insula.engine.program.assembly import Argument, Label, Loaded, Means, Pointer, Result
from insula.engine.program.keeperexchange import CHANNEL, KeeperExchange
from insula.engine.program.late import Late
from insula.kernel.beneath import CONTAINED, STRICT, Resolve
from insula.kernel.fds import AT_FDCWD
from insula.kernel.mounts import (
    AT_EMPTY_PATH,
    AT_RECURSIVE,
    AT_SYMLINK_NOFOLLOW,
    MNT_DETACH,
    UMOUNT_NOFOLLOW,
    FilesystemCommand,
    MountAttribute,
    MoveMount,
    OpenTree,
    Propagation,
)
from insula.kernel.process import ProcessControl

_HOW_TO_OPEN = struct.Struct("<QQQ")
"""struct open_how. Source: openat2(2)."""
_ATTRIBUTES = struct.Struct("<QQQQ")
"""struct mount_attr: set, clear, propagation, userns_fd. Source: mount_setattr(2)."""
STAGE = "/stage"
"""Where the keeper stages trees, as processes find it that it has cloned (`keeper.mountspace`)."""
_FACTS_SIZE = 256
"""Room for struct statfs and struct stat, on all machines."""
_PATH_ONLY = os.O_PATH | os.O_DIRECTORY


class Builder(KeeperExchange):
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

    # Descriptors

    def close(self, fd: Argument) -> None:
        self.call("close", fd)

    def put_at(self, fd: Argument, number: int) -> None:
        """Make an open file be found at a number too, by programs that are executed as well."""
        self.call("dup3", fd, number, 0)

    def keep_open(self, number: int) -> None:
        """Have the channel at a number from here on, close-on-exec."""
        there = Label()
        # EINVAL: it is there already.
        self.call("dup3", CHANNEL, number, os.O_CLOEXEC, unless=(errno.EINVAL, there))
        self.here(there)
        self.store(CHANNEL.place, number)

    def open(self, path: str, flags: int) -> Result:
        """Open a path of ours, close-on-exec."""
        return self.call("openat", AT_FDCWD, self.text(path), flags | os.O_CLOEXEC, 0, about=path)

    def open_staged(self, name: str) -> Result:
        """Open this namespace's own copy of a tree that the keeper has staged."""
        path = self.text(self.stage, before=f"{STAGE}/", behind=f"/{name}")
        return self.call("openat", AT_FDCWD, path, os.O_PATH | os.O_CLOEXEC, 0, about=name)

    def write(self, fd: Argument, content: str, *, about: str = "") -> None:
        """Write all of content in one call."""
        size = self.size(content)
        self.call("write", fd, self.text(content), size, wanted=size, about=about)

    # Below a root that may be hostile

    def open_beneath(
        self,
        root: Argument,
        path: str,
        flags: int,
        *,
        resolve: Resolve = STRICT,
        mode: int = 0,
        whatever: bool = False,
        unless: tuple[int, Label] | None = None,
        means: Means = "",
        about: str = "",
    ) -> Result:
        """Open path as `kernel.beneath.open_beneath` does."""
        how = self.constant(_HOW_TO_OPEN.pack(flags | os.O_CLOEXEC, mode, resolve))
        name = self.text(path.lstrip("/") or ".")
        return self.call(
            "openat2",
            root,
            name,
            how,
            _HOW_TO_OPEN.size,
            again=True,
            whatever=whatever,
            unless=unless,
            about=about or path,
            means=means,
        )

    def place(self, root: Argument, path: str, *, resolve: Resolve = STRICT, directory: bool = True) -> Loaded:
        """Return an O_PATH fd of path below root, made with its parents where it is missing."""
        target, missing, done = self.room(4), Label(), Label()
        flags = _PATH_ONLY if directory else os.O_PATH
        found = self.open_beneath(root, path, flags, resolve=resolve, unless=(errno.ENOENT, missing))
        if not directory:
            self._refuse_directory(found, path)
        self.store(target, found)
        self.skip(done)
        self.here(missing)
        self.store(target, self._make(root, path, resolve, directory=directory))
        self.here(done)
        return Loaded(target)

    def _refuse_directory(self, found: Argument, path: str) -> None:
        how = self.constant(_HOW_TO_OPEN.pack(_PATH_ONLY | os.O_CLOEXEC, 0, STRICT))
        arguments = (found, self.text("."), how, _HOW_TO_OPEN.size)
        means = os.strerror(errno.EISDIR)
        self.call("openat2", *arguments, wanted=-errno.ENOTDIR, means=means, code=errno.EISDIR, about=path)

    def _make(self, root: Argument, path: str, resolve: Resolve, *, directory: bool) -> Result:
        parent_path, _, name = path.strip("/").rpartition("/")
        parent = self.make_directories(root, parent_path, resolve=resolve)
        # A link that leads nowhere is left alone: it ends here with EEXIST.
        if directory:
            self.call("mkdirat", parent, self.text(name), 0o755, about=path)
        else:
            made = self.open_beneath(parent, name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode=0o644)
            self.close(made)
        target = self.open_beneath(parent, name, os.O_PATH | os.O_NOFOLLOW)
        self.close(parent)
        return target

    def make_directories(self, root: Argument, path: str, *, resolve: Resolve = STRICT, mode: int = 0o755) -> Result:
        """Return an O_PATH fd of the directory at path below root, making what is missing."""
        current = self.open_beneath(root, ".", _PATH_ONLY)
        walked = ""
        for name in (each for each in path.split("/") if each not in ("", ".")):
            walked = f"{walked}/{name}"
            there = Label()
            # What is there already may be a link: the lookup from the root follows it, inside.
            self.call("mkdirat", current, self.text(name), mode, unless=(errno.EEXIST, there), about=walked)
            self.here(there)
            found = self.open_beneath(root, walked, _PATH_ONLY, resolve=resolve)
            self.close(current)
            current = found
        return current

    def write_beneath(self, root: Argument, path: str, content: str, *, resolve: Resolve = STRICT) -> None:
        """Write into an existing file below root, in one call."""
        fd = self.open_beneath(root, path, os.O_WRONLY | os.O_NOCTTY, resolve=resolve)
        self.write(fd, content, about=path)
        self.close(fd)

    def create_beneath(self, root: Argument, path: str, content: str, *, mode: int = 0o644) -> None:
        """Make a new file below root; its directory must exist."""
        fd = self.open_beneath(root, path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode=mode)
        self.write(fd, content, about=path)
        self.close(fd)

    def remove_beneath(self, directory: Argument, name: str) -> None:
        """Remove a file of a directory; one that is not there is fine."""
        gone = Label()
        self.call("unlinkat", directory, self.text(name), 0, unless=(errno.ENOENT, gone), about=name)
        self.here(gone)

    # What depends on what is there

    @contextmanager
    def if_there(
        self, root: Argument, path: str, flags: int = os.O_PATH, *, resolve: Resolve = STRICT
    ) -> Iterator[Result]:
        """Say what is done if path exists; it is open meanwhile."""
        missing = Label()
        found = self.open_beneath(root, path, flags, resolve=resolve, unless=(errno.ENOENT, missing))
        yield found
        self.close(found)
        self.here(missing)

    @contextmanager
    def if_equal(self, place: Pointer, value: int) -> Iterator[None]:
        """Say what is done if the four bytes at place are value."""
        other = Label()
        self.skip_unless(place, value, other)
        yield
        self.here(other)

    def either_kind(self, fd: Argument) -> Iterator[bool]:
        """Go twice over what is done with a file: for a directory (True), and for one that is none; one is played."""
        other, done = Label(), Label()
        how = self.constant(_HOW_TO_OPEN.pack(_PATH_ONLY | os.O_CLOEXEC, 0, STRICT))
        again = self.call("openat2", fd, self.text("."), how, _HOW_TO_OPEN.size, unless=(errno.ENOTDIR, other))
        self.close(again)
        yield True
        self.skip(done)
        self.here(other)
        yield False
        self.here(done)

    def name_is_there(self, root: Argument, path: str) -> Pointer:
        """Look whether a name is there, a link to anything included; return where 0 stands then.

        Directories on the way are looked up inside the root; one that cannot be entered has nothing in it.
        """
        directory, _, name = path.rpartition("/")
        parent = self.open_beneath(root, directory, _PATH_ONLY, resolve=CONTAINED, whatever=True)
        # Without a parent the descriptor is a negative number, which is none: EBADF.
        found = self.call(
            "newfstatat", parent, self.text(name), self.room(_FACTS_SIZE), AT_SYMLINK_NOFOLLOW, whatever=True
        )
        self.call("close", parent, whatever=True)
        return self.result_of(found)

    def refuse_filesystems(self, fd: Argument, kinds: Mapping[int, str], about: str) -> None:
        """Fail for a file that is on one of these file systems. kinds: magic numbers and what is said of them."""
        facts = self.room(_FACTS_SIZE)
        self.call("fstatfs", fd, facts, about=about)
        for magic, text in kinds.items():
            self.require(facts, magic, other=True, means=text, code=errno.EPERM, about=about)

    def require_filesystem(self, fd: Argument, magic: int, *, means: str, code: int) -> None:
        """Fail for a file that is on another file system."""
        facts = self.room(_FACTS_SIZE)
        self.call("fstatfs", fd, facts)
        self.require(facts, magic, means=means, code=code)

    # Mounts

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

    def attach_beneath(self, root: Argument, path: str, mount: Argument) -> None:
        """Show a mount at a directory that only we lay out: no links on the way."""
        target = self.place(root, path, resolve=STRICT)
        self.attach(mount, target)
        self.close(target)

    def change(
        self,
        mount: Argument,
        path: str = "",
        *,
        add: MountAttribute = MountAttribute.NOTHING,
        propagation: Propagation = Propagation.UNCHANGED,
        recursive: bool = False,
    ) -> None:
        attributes = self.constant(_ATTRIBUTES.pack(add, 0, propagation, 0))
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
            said = f"{fstype}: {key}" if value is None else f"{fstype}: {key}={value}"
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
