"""Making and removing groups' directories, in one hierarchy.

Directories above a group that we had to make are marked by an extended attribute, and can be removed again once they
are empty; those of others are never touched. What a guest made below its own group is removed with it, walked by fd.
"""

import contextlib
import errno
import os
import stat
import time

from insula.kernel.cgroups import files

_MARK = "user.insula"
_GONE = (errno.ENOENT, errno.ENODEV)
_MAKE_ATTEMPTS = 20
_PAUSE = 0.0002
_LONGEST_PAUSE = 0.01
_LINKS_OF_A_LEAF = 2
"""Links of a group's directory with no groups below it: its name, and its own dot."""
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def make(mount: str, path: str) -> None:
    """Make the group at path below mount, and the groups above it that are missing.

    Raises: FileExistsError if the group itself is there already.
    """
    for _ in range(_MAKE_ATTEMPTS):
        try:
            os.mkdir(f"{mount}/{path}", 0o755)
        except FileNotFoundError:
            # The usual case is that the groups above are there. A neighbour who ends may take one away again.
            _make_above(mount, path)
        else:
            return
    if not is_group(mount):
        raise FileNotFoundError(errno.ENOENT, "no control group hierarchy is mounted here", mount)
    raise OSError(errno.EAGAIN, "the group above was removed again and again", f"{mount}/{os.path.dirname(path)}")


def _make_above(mount: str, path: str) -> None:
    for above in ancestors(path):
        with contextlib.suppress(FileExistsError, FileNotFoundError):
            os.mkdir(f"{mount}/{above}", 0o755)
            os.setxattr(f"{mount}/{above}", _MARK, b"1")


def ancestors(path: str) -> tuple[str, ...]:
    """Return the groups above path, top one first, the root left out: `a` and `a/b` for `a/b/c`."""
    words = path.split("/")
    return tuple("/".join(words[:length]) for length in range(1, len(words)))


def remove(directory: str, seconds: float) -> None:
    """Remove a group with everything below it; one that is not there is fine.

    A group stays busy until its last dead task is reaped, so it is tried again for a while.
    Raises: OSError(EBUSY) if it is still in use then.
    """
    deadline = time.monotonic() + seconds
    pause = _PAUSE
    while not removed(directory):
        _remove_below(directory)
        if removed(directory):
            return
        if time.monotonic() > deadline:
            raise OSError(errno.EBUSY, "the group is still in use", directory)
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)


def removed(directory: str) -> bool:
    """Remove a group unless it is in use or has groups below it; return whether it is gone."""
    try:
        os.rmdir(directory)
    except OSError as error:
        if error.errno in (errno.EBUSY, errno.ENOTEMPTY):
            return False
        if error.errno not in _GONE:
            raise
    return True


def _remove_below(directory: str) -> None:
    """Remove what can be removed below directory, deepest first, without joining names that a guest chose.

    An explicit stack of fds instead of recursion: the guest chooses the depth as well.
    """
    try:
        top = os.open(directory, _OPEN)
    except FileNotFoundError:
        return
    stack = [(top, "", _children(top))]
    while stack:
        fd, name, children = stack[-1]
        if children:
            child = children.pop()
            with contextlib.suppress(OSError):
                try:
                    os.rmdir(child, dir_fd=fd)
                except OSError:
                    below = os.open(child, _OPEN, dir_fd=fd)
                    stack.append((below, child, _children(below)))
            continue
        stack.pop()
        os.close(fd)
        if stack:
            with contextlib.suppress(OSError):
                os.rmdir(name, dir_fd=stack[-1][0])


def _children(fd: int) -> list[str]:
    with os.scandir(fd) as entries:
        return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]


def remove_marked_above(mount: str, path: str) -> None:
    """Remove the groups above path that are empty and that we made."""
    for above in reversed(ancestors(path)):
        directory = f"{mount}/{above}"
        if not is_ours(directory):
            return
        try:
            os.rmdir(directory)
        except OSError:
            return


def remove_marked_in(directory: str) -> None:
    """Remove all groups in a directory, and below them, that are empty and that we made."""
    with os.scandir(directory) as entries:
        ours = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False) and is_ours(entry.path)]
    for path in ours:
        with contextlib.suppress(OSError):
            remove_marked_in(path)
            os.rmdir(path)


def is_ours(directory: str) -> bool:
    """Whether a group above others is one that we made."""
    try:
        os.getxattr(directory, _MARK)
    except OSError:
        return False
    return True


def is_group(directory: str) -> bool:
    """Whether a group is there."""
    try:
        return stat.S_ISDIR(os.stat(directory).st_mode)
    except FileNotFoundError:
        return False


def processes_below(directory: str) -> list[int]:
    """Return the pids of every process in a group and below it; none if it is not there."""
    try:
        alone = os.stat(directory).st_nlink == _LINKS_OF_A_LEAF
    except FileNotFoundError:
        return []
    found: list[int] = []
    for below in (directory,) if alone else (below for below, _, _ in os.walk(directory)):
        found += files.processes(below)
    return found
