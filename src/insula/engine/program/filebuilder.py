"""Words for descriptors and files, those of `kernel.beneath`, as records: found, made, written, and told apart."""

import errno
import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from insula.engine.program.assembly import Argument, Label, Loaded, Means, Pointer, Result
from insula.engine.program.keeperexchange import CHANNEL, KeeperExchange
from insula.kernel.beneath import CONTAINED, STRICT, Resolve
from insula.kernel.fds import AT_FDCWD
from insula.kernel.mounts import AT_SYMLINK_NOFOLLOW

_HOW_TO_OPEN = struct.Struct("<QQQ")
"""struct open_how. Source: openat2(2)."""
_FACTS_SIZE = 256
"""Room for struct statfs and struct stat, on all machines."""
_PATH_ONLY = os.O_PATH | os.O_DIRECTORY


class FileBuilder(KeeperExchange):
    """A program under construction, as far as it is about files."""

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

    def write(self, fd: Argument, content: str, *, about: str = "", means: Means = "") -> None:
        """Write all of content in one call."""
        size = self.size(content)
        self.call("write", fd, self.text(content), size, wanted=size, about=about, means=means)

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

    def write_beneath(
        self, root: Argument, path: str, content: str, *, resolve: Resolve = STRICT, means: Means = ""
    ) -> None:
        """Write into an existing file below root, in one call. means: why it cannot be opened, or written."""
        fd = self.open_beneath(root, path, os.O_WRONLY | os.O_NOCTTY, resolve=resolve, means=means)
        self.write(fd, content, about=path, means=means)
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
