"""Making mounts stay, for a guest whose root has the host's capabilities."""

import errno
import os
import signal
from dataclasses import dataclass
from typing import ClassVar

from insula.engine.program.assembly import Label, Loaded
from insula.engine.program.builder import Builder
from insula.engine.steps.guest.gueststep import GuestStep
from insula.kernel.process import CloneFlag

_CLONE_ARGUMENTS_SIZE = 88
"""Of struct clone_args. Source: clone(2)."""
_P_PIDFD = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class LockMounts(GuestStep):
    """Lock every mount there is now: none can be taken off, moved, made writable or bound without what covers it.

    The kernel locks what it copies into a mount namespace of another user namespace, whoever asks afterwards. So a
    short-lived process copies the tree into a user namespace of its own, and this one copies it from there. What is
    mounted later is not locked. Source: mount_namespaces(7), "Restrictions on mount namespaces".
    """

    phrase: ClassVar[str] = "lock what is mounted by now"

    def compile(self, program: Builder) -> None:
        """The other process says through one pipe that it has copied, and ends when the other pipe does."""
        ready, end = program.room(8), program.room(8)
        program.call("pipe2", ready, os.O_CLOEXEC)
        program.call("pipe2", end, os.O_CLOEXEC)
        pidfd = program.room(4)
        arguments = program.words([CloneFlag.PIDFD, pidfd, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, 0])
        parent = Label()
        program.parent_skips(program.call("clone3", arguments, _CLONE_ARGUMENTS_SIZE), parent)
        program.close(Loaded(end.beyond(4)))
        means = "mounts cannot be locked without a user namespace: {error}"
        program.call("unshare", CloneFlag.NEWUSER | CloneFlag.NEWNS, means=means)
        program.write(Loaded(ready.beyond(4)), "x")
        program.call("read", Loaded(end), program.room(1), 1, whatever=True)
        program.call("exit_group", 0)
        program.here(parent)
        program.close(Loaded(ready.beyond(4)))
        program.close(Loaded(end))
        means = "the process that was to copy the mounts has ended"
        program.call("read", Loaded(ready), program.room(1), 1, wanted=1, means=means, code=errno.ECHILD)
        program.setns(Loaded(pidfd), CloneFlag.NEWNS)
        program.close(Loaded(end.beyond(4)))
        program.close(Loaded(ready))
        program.call("waitid", _P_PIDFD, Loaded(pidfd), 0, os.WEXITED, 0)
        program.close(Loaded(pidfd))
        program.unshare(CloneFlag.NEWNS)
        program.change_directory("/")
        program.close(program.rooted())
        program.root = program.open("/", os.O_PATH | os.O_DIRECTORY)
