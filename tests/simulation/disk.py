"""The file operations of a simulated process: real files below a directory in memory, which fail, or end it, on demand.

What `os` and `io` offer for changing and reading files is replaced as long as a walk lasts, for paths below the
directory only; everything else goes the usual way.
"""

import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any, cast

from tests.simulation.loop import KilledError, SimulatedLoop
from tests.simulation.world import World


class Disk(Enum):
    """How a disk is: what it answers to those who change or read it."""

    SOUND = 0
    FULL = errno.ENOSPC
    """Nothing can be made or grow; removing works."""
    BROKEN = errno.EIO
    READ_ONLY = errno.EROFS
    STARVED = errno.EMFILE
    """The process has no descriptor left: nothing can be opened."""


GROWS = frozenset({"create", "write", "mkdir", "symlink"})
OPENS = frozenset({"create", "open", "listdir", "scandir"})
READS = frozenset({"open", "listdir", "scandir"})
_CALLS = (
    "open",
    "write",
    "fsync",
    "rename",
    "replace",
    "unlink",
    "remove",
    "mkdir",
    "rmdir",
    "symlink",
    "listdir",
    "scandir",
)


class FileOperations:
    """Counts the file operations of whoever runs now, and decides what becomes of each.

    memory: a directory whose file system is in memory, as /run is: it fills up, and never breaks. state: of the disk;
    fails: of the operations to come, counted from 0, those that fail, and how; dies: the one at which the process ends.
    """

    def __init__(self, world: World, root: str, *, memory: str) -> None:
        self._world = world
        self._root = root
        self._memory = memory
        self._opened: dict[int, str] = {}
        self.state = Disk.SOUND
        self.fails: dict[int, int] = {}
        self.dies: int | None = None
        self.count = 0
        self.troubled = False
        """Whether anything has failed since this was unset."""

    def forget(self, fd: int) -> None:
        """A descriptor is no file's any more."""
        self._opened.pop(fd, None)

    def arm(self, *, fails: dict[int, int] | None = None, dies: int | None = None) -> None:
        """Decide about the operations to come, counted from now on."""
        self.count, self.fails, self.dies = 0, fails or {}, dies

    def before(self, call: str, path: object) -> None:
        """Decide about an operation of whoever acts now. Raises: OSError; KilledError if it is the actor's end."""
        process = cast("SimulatedLoop | None", self._world.actor)
        if process is None:
            return
        if not process.alive:
            raise KilledError
        number, self.count = self.count, self.count + 1
        if number == self.dies and call not in READS:
            process.alive = False
            raise KilledError
        code = self.fails.pop(number, 0) or (self._answer(call) if call != "host" else 0)
        # What is named from an open directory is what runs leave behind (shutil.rmtree).
        if code in (errno.EIO, errno.EROFS) and (text := str(path)).startswith(self._memory) == text.startswith("/"):
            code = errno.ENOSPC if call in GROWS else 0
        if code:
            self.troubled = True
            raise OSError(code, os.strerror(code), os.fspath(path) if isinstance(path, str | os.PathLike) else None)

    def _answer(self, call: str) -> int:
        match self.state:
            case Disk.SOUND:
                return 0
            case Disk.FULL:
                return errno.ENOSPC if call in GROWS else 0
            case Disk.READ_ONLY:
                return errno.EROFS if call not in READS else 0
            case Disk.STARVED:
                return errno.EMFILE if call in OPENS else 0
            case Disk.BROKEN:
                return errno.EIO

    def _is_ours(self, path: object, options: dict[str, Any]) -> bool:
        if options.get("dir_fd") is not None or options.get("src_dir_fd") is not None:
            return True
        return (path if isinstance(path, str) else str(path)).startswith(self._root)

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Have every file operation of this interpreter pass here while the block lasts."""
        originals = {name: getattr(os, name) for name in _CALLS}
        io_open, memory_file, duplicate = io.open, os.memfd_create, os.dup
        for name, original in originals.items():
            setattr(os, name, self._replacement(name, original))

        def opened(file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
            if not isinstance(file, int) and self._is_ours(file, {}):
                self.before("create" if set(mode) & set("wax") else "open", file)
            return io_open(file, mode, *args, **options)

        def in_memory(name: str, flags: int = os.MFD_CLOEXEC) -> int:
            self.before("open", name)
            fd = memory_file(name, flags)
            self._opened.pop(fd, None)
            return fd

        def duplicated(fd: int) -> int:
            new = duplicate(fd)
            self._opened.pop(new, None)
            return new

        io.open, os.memfd_create, os.dup = opened, in_memory, duplicated
        try:
            yield
        finally:
            io.open, os.memfd_create, os.dup = io_open, memory_file, duplicate
            for name, original in originals.items():
                setattr(os, name, original)

    def _replacement(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        if name in ("write", "fsync"):

            def through_fd(fd: int, *args: Any) -> Any:
                if fd in self._opened:
                    self.before(name, self._opened[fd])
                return original(fd, *args)

            return through_fd

        if name == "open":

            def opening(path: Any, flags: int, *args: Any, **options: Any) -> int:
                if not self._is_ours(path, options):
                    fd: int = original(path, flags, *args, **options)
                    self._opened.pop(fd, None)
                    return fd
                self.before("create" if flags & os.O_CREAT else "open", path)
                fd = original(path, flags, *args, **options)
                self._opened[fd] = os.fspath(path)
                return fd

            return opening

        def by_path(path: Any = ".", *args: Any, **options: Any) -> Any:
            if isinstance(path, int) or self._is_ours(path, options):
                self.before(name, path)
            return original(path, *args, **options)

        return by_path
