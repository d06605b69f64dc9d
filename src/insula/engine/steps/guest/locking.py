"""Making mounts stay, for a guest whose root has the host's capabilities."""

import contextlib
import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from insula.engine.steps.guest.gueststep import ChildContext, GuestStep
from insula.kernel.fds import Fd
from insula.kernel.process import CloneFlag, setns, unshare


@dataclass(frozen=True, kw_only=True, slots=True)
class LockMounts(GuestStep):
    """Lock every mount there is now: none can be taken off, moved, made writable or bound without what covers it.

    The kernel locks what it copies into a mount namespace of another user namespace, whoever asks afterwards. So a
    short-lived process copies the tree into a user namespace of its own, and this one copies it from there. What is
    mounted later is not locked. Source: mount_namespaces(7), "Restrictions on mount namespaces".
    """

    phrase: ClassVar[str] = "lock what is mounted by now"

    def perform(self, context: ChildContext) -> None:
        with _copied_away() as pidfd:
            setns(pidfd, CloneFlag.NEWNS)
        unshare(CloneFlag.NEWNS)
        os.chdir("/")
        os.close(context.root)
        context.root = Fd(os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))


@contextlib.contextmanager
def _copied_away() -> Iterator[int]:
    """Give the pidfd of a process with a copy of our mounts in a user namespace of its own. It ends with the block."""
    ready, copied = os.pipe2(os.O_CLOEXEC)
    ended, end = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        os.close(end)
        try:
            unshare(CloneFlag.NEWUSER | CloneFlag.NEWNS)
            os.write(copied, b"\0")
        except OSError as error:
            os.write(copied, bytes((error.errno or errno.EIO,)))
        os.read(ended, 1)
        os._exit(0)
    os.close(copied)
    os.close(ended)
    try:
        answer = os.read(ready, 1)
        if answer != b"\0":
            code = answer[0] if answer else errno.EIO
            raise OSError(code, f"mounts cannot be locked without a user namespace: {os.strerror(code)}")
        pidfd = os.pidfd_open(child)
        try:
            yield pidfd
        finally:
            os.close(pidfd)
    finally:
        os.close(ready)
        os.close(end)
        os.waitpid(child, 0)
