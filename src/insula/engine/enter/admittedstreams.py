"""Which descriptors a program in a guest may be given, as its standard streams above all: the one place that decides.

Whoever holds a descriptor can do more with it than read or write. /proc/self/fd opens a file anew, for reading what was
meant for writing, wherever a directory above forbids the way. A socket speaks with its peer in the name of whoever made
it. A directory leads on, a terminal has keys to be read, a device node can be opened for writing, and the owner of any
file changes its mode. So a guest gets pipes only, open in the one direction that it needs, and a null device that was
made for it; what else a caller wants to be read or written is relayed through such pipes (`relay.relay`).
"""

import os
import socket
import stat
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from insula.errors import InvalidArgumentError
from insula.kernel.fds import Fd, close_all
from insula.kernel.filekinds import FileKind, access_mode
from insula.kernel.mounts import make_filesystem
from insula.kernel.sharedsockets import family_of
from insula.kernel.standardstreams import NAMES
from insula.kernel.statx import cached_kind_of

_KEYS = ("stdin", "stdout", "stderr")
"""By which the entering process finds them: TakeStreams."""


@contextmanager
def admitted(streams: Sequence[int], *, privileged: bool) -> Iterator[dict[str, Fd]]:
    """Give the streams of a program, by the names that TakeStreams uses, until the block ends.

    streams: standard input, output and error, which stay the caller's. privileged: the guest's root is the host's.
    Raises: InvalidArgumentError naming the stream, and what it is, if that is nothing a guest may hold.
    """
    fds = dict(zip(_KEYS, map(Fd, streams), strict=True))
    nulls = [key for number, key in enumerate(_KEYS) if _checked(number, fds[key]) is FileKind.NULL]
    made: list[Fd] = []
    try:
        if nulls:
            made.append(_own_null() if privileged else _open_null())
            fds |= dict.fromkeys(nulls, made[0])
        yield fds
    finally:
        close_all(made)


def check_inherited(fds: Sequence[int]) -> None:
    """Refuse what no init may be given beside its streams. It may get files and sockets: they are given on purpose.

    Raises: InvalidArgumentError for a directory or a mere path, which lead out of its root, and for a connection to us.
    """
    for number, fd in enumerate(fds):
        kind = cached_kind_of(fd)
        if kind in (FileKind.DIRECTORY, FileKind.PATH):
            raise InvalidArgumentError(f"file descriptor {number} is {kind.value}, which leads out of the guest's root")
        if kind is FileKind.SOCKET and _leads_to_us(fd):
            raise InvalidArgumentError(f"file descriptor {number} is a connection to this daemon")


def _leads_to_us(fd: int) -> bool:
    """Tell whether a socket is connected to one with a name that this process listens on: SO_PEERCRED in unix(7)."""
    if family_of(fd) != socket.AF_UNIX:
        return False
    with socket.socket(fileno=os.dup(fd)) as passed:
        try:
            if not passed.getpeername():
                return False
        except OSError:
            return False  # it is not connected: a listening one is for the guest to serve
        credentials = passed.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int(struct.unpack("3i", credentials)[0]) == os.getpid()


def _checked(number: int, fd: Fd) -> FileKind:
    try:
        kind = cached_kind_of(fd)
    except OSError as error:
        raise InvalidArgumentError(f"{NAMES[number]} is not open: pass a pipe, or /dev/null") from error
    if kind not in (FileKind.PIPE, FileKind.NULL):
        raise InvalidArgumentError(f"{NAMES[number]} is {kind.value}, which no guest is given: pass a pipe, and relay")
    if kind is FileKind.PIPE and access_mode(fd) != (os.O_WRONLY if number else os.O_RDONLY):
        raise InvalidArgumentError(f"{NAMES[number]} is the wrong end of a pipe")
    return kind


def _open_null() -> Fd:
    """Return an open file of the host's null device that nobody else has."""
    return Fd(os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC))


def _own_null() -> Fd:
    """Return a null device that is nobody else's: a privileged guest's root could change the mode of the host's."""
    tree = make_filesystem("tmpfs", [("mode", "755"), ("size", "4k"), ("nr_inodes", "8")])
    try:
        os.mkdir("dev", dir_fd=tree)
        os.mknod("dev/null", stat.S_IFCHR | 0o666, os.makedev(1, 3), dir_fd=tree)
        os.chmod("dev/null", 0o666, dir_fd=tree)  # whatever our umask is
        return Fd(os.open("dev/null", os.O_RDWR | os.O_CLOEXEC, dir_fd=tree))
    except PermissionError:
        return _open_null()  # where nodes cannot be made, we are no host's root ourselves
    finally:
        os.close(tree)
