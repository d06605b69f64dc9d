"""Looks that carry the content of a file, between a pipe and a running guest, with no more rights than its root has.

What may lie at a path is the guest's to say: links to anywhere, pipes and devices that make a reader wait, files of the
kernel. So the child visits the guest (`visit`) before it opens a file of the guest's.

    read-file    pid, namespaces, path                     ; init, stream, groups → said: opened; result: size
    write-file   pid, namespaces, path, how, mode, new_mode, user, group ; the same

stream: the end of a pipe; the others: as `visit` has them.
"""

import os
import stat
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from insula.engine import accounts
from insula.engine.look.regularfile import open_regular
from insula.engine.look.visit import visit
from insula.kernel import pipes
from insula.kernel.beneath import CONTAINED, open_beneath
from insula.kernel.fds import Fd

Said = Generator[dict[str, Any], None, dict[str, Any]]

_PIECE = 1 << 18
_PIPE = 1 << 20
_PRIVATE = 0o600


def read_file(arguments: Mapping[str, Any], fds: Mapping[str, Fd]) -> Said:
    """Write a file's content into the stream."""
    root = visit(arguments, fds)
    with _without_our_paths():
        file = open_regular(root, arguments["path"], resolve=CONTAINED)
    yield {"opened": _facts(file)}
    return {"size": _copy(file, _widened(fds["stream"]))}


def write_file(arguments: Mapping[str, Any], fds: Mapping[str, Fd]) -> Said:
    """Make a file's content what the stream has (how: w), add to it (a), or make a new file (x).

    mode, user and group: None to leave those of a file that is there; a new one is root's, and has new_mode.
    """
    root = visit(arguments, fds)
    user, group = arguments["user"], arguments["group"]
    owner = None if user is None else accounts.find_account(accounts.lines_below(root), user, group)
    with _without_our_paths():
        file, is_new = _open_for_writing(root, arguments["path"], arguments["how"])
    yield {"opened": _facts(file)}
    size = _copy(_widened(fds["stream"]), file)
    # At last, and the owner first: a change of owner takes bits of the mode away.
    if owner is not None:
        os.fchown(file, owner.uid, owner.gid)
    mode = arguments["new_mode"] if arguments["mode"] is None and is_new else arguments["mode"]
    if mode is not None:
        os.fchmod(file, mode)
    os.close(file)  # where some file systems tell first that there was no room
    return {"size": size}


@contextmanager
def _without_our_paths() -> Iterator[None]:
    """Have an error name no call and no path: who asked knows which file it is about."""
    try:
        yield
    except OSError as error:
        said = (error.strerror or "").removeprefix("openat2: ")
        raise OSError(error.errno, said) from error


def _open_for_writing(root: Fd, path: str, how: str) -> tuple[Fd, bool]:
    """Return the open file, and whether it was made for this."""
    if how != "x":
        flags = os.O_WRONLY | (os.O_APPEND if how == "a" else os.O_TRUNC)
        with suppress(FileNotFoundError):
            return open_regular(root, path, flags, resolve=CONTAINED), False
    making = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    return open_beneath(root, path, making, resolve=CONTAINED, mode=_PRIVATE), True


def _facts(file: Fd) -> dict[str, Any]:
    """Return what there is to know of a file: bytes, mode, its owner as the guest numbers it, seconds since 1970."""
    found = os.fstat(file)
    return {
        "size": found.st_size,
        "mode": stat.S_IMODE(found.st_mode),
        "uid": found.st_uid,
        "gid": found.st_gid,
        "modified": found.st_mtime,
    }


def _widened(stream: Fd) -> Fd:
    with suppress(OSError):  # it works in small pieces, too
        pipes.resize(stream, _PIPE)
    return stream


def _copy(source: Fd, target: Fd) -> int:
    """Copy to the end of source; return how many bytes that were."""
    copied = 0
    while piece := os.read(source, _PIECE):
        left = memoryview(piece)
        while left:
            left = left[os.write(target, left) :]
        copied += len(piece)
    return copied
