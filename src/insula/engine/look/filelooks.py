"""Looks that carry the content of a file, between a pipe and a running guest, with no more rights than its root has.

What may lie at a path is the guest's to say: links to anywhere, pipes and devices that make a reader wait, files of the
kernel. So the child takes on what the guest's root has (its limits, its ids, its namespaces but for two) and gives up
everything else before it opens a file of the guest's. It stays in our mount namespace, so that neither a module nor a
library is ever found in the guest, and looks paths up from the guest's root, which no link leads out of (`CONTAINED`);
it stays out of the guest's processes, so that none of them sees it, signals it or finds our interpreter through it.

    read-file    pid, namespaces, path                     ; init, stream, groups → said: opened; result: size
    write-file   pid, namespaces, path, how, mode, new_mode, user, group ; the same

namespaces: names below /proc/PID/ns. stream: the end of a pipe. groups: as `enter.attachment.group_fds` names them.
"""

import errno
import os
import stat
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from insula.engine import accounts
from insula.engine.look.runningroot import open_root
from insula.kernel import pipes, privileges
from insula.kernel.beneath import CONTAINED, open_beneath
from insula.kernel.cgroups import join_all
from insula.kernel.fds import Fd
from insula.kernel.process import NAMESPACE_FLAGS, CloneFlag, set_dumpable, setns

Said = Generator[dict[str, Any], None, dict[str, Any]]

VISITING = frozenset({"chown", "dac_override", "dac_read_search", "fowner", "fsetid"})
"""What the guest's root needs for its files."""
ENTERING = VISITING | {"setgid", "setuid", "sys_admin", "sys_ptrace"}
"""What is needed to become it. setns(2), into a user namespace of somebody else's."""

_PIECE = 1 << 18
_PIPE = 1 << 20
_PRIVATE = 0o600


def read_file(arguments: Mapping[str, Any], fds: Mapping[str, Fd]) -> Said:
    """Write a file's content into the stream."""
    root = _visit(arguments, fds)
    with _without_our_paths():
        file = _open_regular(root, arguments["path"], os.O_RDONLY)
    yield {"opened": _facts(file)}
    return {"size": _copy(file, _widened(fds["stream"]))}


def write_file(arguments: Mapping[str, Any], fds: Mapping[str, Fd]) -> Said:
    """Make a file's content what the stream has (how: w), add to it (a), or make a new file (x).

    mode, user and group: None to leave those of a file that is there; a new one is root's, and has new_mode.
    """
    root = _visit(arguments, fds)
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


def _visit(arguments: Mapping[str, Any], fds: Mapping[str, Fd]) -> Fd:
    """Become the guest's root; return its root directory."""
    join_all({name: fd for name, fd in fds.items() if name not in ("init", "stream")})
    root = open_root(arguments["pid"], fds["init"])
    kinds = CloneFlag.NOTHING
    for each in arguments["namespaces"]:
        kinds |= NAMESPACE_FLAGS[each]
    if kinds:
        setns(fds["init"], kinds)
    os.setresgid(0, 0, 0)
    os.setgroups([])
    os.setresuid(0, 0, 0)
    # A change of ids makes a process dumpable again: proc_pid_coredump_filter(5), PR_SET_DUMPABLE.
    set_dumpable(False)
    kept = VISITING & privileges.held().permitted
    privileges.set_held(privileges.CapabilitySets(effective=kept, permitted=kept, inheritable=frozenset()))
    os.umask(0)
    return root


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
            return _open_regular(root, path, flags), False
    making = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    return open_beneath(root, path, making, resolve=CONTAINED, mode=_PRIVATE), True


def _open_regular(root: Fd, path: str, flags: int) -> Fd:
    """Open a regular file. Nothing else is opened: that alone could wait, or do something."""
    found = open_beneath(root, path, os.O_PATH, resolve=CONTAINED)
    try:
        mode = os.fstat(found).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "this is no regular file")
        # Whoever holds a lease on a file would make us wait for it: fcntl(2), "Leases".
        return Fd(os.open(f"/proc/self/fd/{found}", flags | os.O_NONBLOCK | os.O_CLOEXEC))
    finally:
        os.close(found)


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
