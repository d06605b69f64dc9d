"""Work done in a forked child, whose result or error comes back: steps change the process that performs them.

With namespaces of its own the child is root of a user namespace, so that mounts can be tried without being root here.
"""

import fcntl
import os
import pickle
from collections.abc import Callable, Sequence
from typing import TypeVar, cast

from insula.kernel.fds import Fd
from insula.kernel.idmap import Extent, write_maps
from insula.kernel.process import CloneFlag, unshare

T = TypeVar("T")

_HIGH = 200
"""Above every fd that steps pass on to a guest."""


def in_child(work: Callable[[], T], meanwhile: Callable[[int], None] = lambda pid: None) -> T:
    """Return what work returns in a child, or raise what it raises there. meanwhile: gets the child's pid, here."""
    reader, low = os.pipe()
    writer = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, _HIGH)
    os.close(low)
    pid = os.fork()
    if pid == 0:
        try:
            with open(writer, "wb") as report:
                pickle.dump(_outcome(work), report)
        finally:
            os._exit(0)
    os.close(writer)
    try:
        meanwhile(pid)
    finally:
        with open(reader, "rb") as report:
            told = report.read()
        os.waitpid(pid, 0)
    assert told, "the child ended without a word"
    result, error = pickle.loads(told)
    if error is not None:
        raise error
    return cast("T", result)


def _outcome(work: Callable[[], T]) -> tuple[T | None, BaseException | None]:
    try:
        return work(), None
    except BaseException as error:
        return None, error


def in_namespaces(work: Callable[[], T], kinds: CloneFlag = CloneFlag.NEWNS, ids: Sequence[Extent] = ()) -> T:
    """Return what work returns in a child with a user namespace and others of its own.

    ids: its maps of users and of groups, for which we must be root; without any it is root inside, and that is we.
    """
    uid, gid = os.geteuid(), os.getegid()
    ready, is_ready = os.pipe()
    go, may_go = os.pipe()

    def settle_and_work() -> T:
        unshare(CloneFlag.NEWUSER | kinds)
        if ids:
            os.write(is_ready, b".")
            os.read(go, 1)
        else:
            _write("setgroups", b"deny")
            _write("gid_map", b"0 %d 1" % gid)
            _write("uid_map", b"0 %d 1" % uid)
        return work()

    def map_ids(pid: int) -> None:
        os.close(is_ready)
        # Nothing comes if the child failed before it was ready.
        if ids and os.read(ready, 1):
            process = Fd(os.open(f"/proc/{pid}", os.O_PATH | os.O_DIRECTORY))
            write_maps(process, ids, ids)
            os.close(process)
        os.write(may_go, b".")

    try:
        return in_child(settle_and_work, map_ids)
    finally:
        for fd in (ready, go, may_go):
            os.close(fd)


def _write(name: str, content: bytes) -> None:
    fd = os.open(f"/proc/self/{name}", os.O_WRONLY)
    os.write(fd, content)
    os.close(fd)
