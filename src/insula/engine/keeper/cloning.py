"""How the keeper has processes cloned: by the spawner, and by itself where that cannot be executed."""

import contextlib
import os
import socket
import traceback
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from insula.engine.keeper import child
from insula.engine.keeper.held import HeldProcess
from insula.engine.keeper.protocol import IMAGE, Message, passed_fds, send_go
from insula.engine.keeper.spawner import STANDING_MAX, Order, Spawner
from insula.engine.keeper.strays import kill_holders
from insula.kernel.fds import NO_FD, Fd
from insula.kernel.identity import acting_as_owner
from insula.kernel.process import NAMESPACE_FLAGS, CloneFlag, clone, reset_memory_score, setns

_OWN = ("pid", "mnt", "net", "uts", "ipc")
"""The namespaces that who enters a guest begins in; of the others it becomes part by its program."""
_SHARED = "shared:"
"""How the names of fds of namespaces begin that a guest shares with others."""


class Begun(NamedTuple):
    """A process that is cloned, or ordered; our end of its channel; and what identifies the other end."""

    process: HeldProcess
    channel: socket.socket
    other_end: int


class Cloner:
    """Has processes begin where they belong.

    A process that enters a guest begins in the guest's mount, network, UTS and IPC namespaces as well as in the PID
    namespace that makes it visible there: whoever traces it finds no way to the keeper's root or the host's network.

    limits: soft and hard limit of fds that they begin with.
    """

    def __init__(self, limits: tuple[int, int], spawner: Spawner) -> None:
        self._limits = limits
        self._spawner = spawner
        self._own = {kind: Fd(os.open(f"/proc/self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)) for kind in _OWN}

    def begin(self, message: Message) -> Begun:
        """Have a guest's first process cloned.

        message: namespaces, owner, pid; fds image, cgroup, shared:KIND. Raises: OSError; ValueError.
        """
        shared = {name: fd for name, fd in message.fds.items() if name.startswith(_SHARED)}
        standing = [(fd, [name.removeprefix(_SHARED)]) for name, fd in shared.items()]
        return self._begin(_flags(message.body["namespaces"]), standing, message, None)

    def enter(self, message: Message) -> Begun:
        """Have a process cloned into a running guest.

        message: fds init (its pidfd), cgroup, image, and what the program receives after init's pidfd. Raises: as
        `begin`.
        """
        init = message.fds["init"]
        passed = [init, *passed_fds(message, without=("init",))]
        return self._begin(CloneFlag.NOTHING, [(init, _OWN)], message, passed)

    def give_up(self, begun: Begun) -> None:
        """End one that nothing was heard of in time, and have another spawner if it was never attended to."""
        kill_holders(begun.other_end)
        self._spawner.doubt()

    def _begin(
        self,
        flags: CloneFlag,
        standing: Sequence[tuple[Fd, Sequence[str]]],
        message: Message,
        passed: Sequence[Fd] | None,
    ) -> Begun:
        """standing: namespaces to begin in, each an fd of one or of a process, and which of its; passed: fds that wait
        in the channel for the process before it is there."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            if passed is not None:
                send_go(ours, passed)
            other_end = os.fstat(theirs.fileno()).st_ino
            if self._spawner.usable:
                self._spawner.give(self._order(flags, standing, message, theirs))
                return Begun(HeldProcess("", 0, NO_FD), ours, other_end)
            pid, pidfd = self._fork(flags, standing, message, theirs)
            return Begun(HeldProcess("", pid, pidfd), ours, other_end)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()

    def _order(
        self,
        flags: CloneFlag,
        standing: Sequence[tuple[Fd, Sequence[str]]],
        message: Message,
        theirs: socket.socket,
    ) -> Order:
        if len(standing) > STANDING_MAX:
            raise ValueError(f"no more than {STANDING_MAX} namespaces can be shared")
        owner = message.body.get("owner")
        return Order(
            flags=flags,
            limits=self._limits,
            image=message.fds[IMAGE],
            channel=Fd(theirs.fileno()),
            pids=_pids(message),
            owner=None if owner is None else (owner[0], owner[1]),
            cgroup=message.fds.get("cgroup"),
            standing=tuple((fd, _flags(kinds)) for fd, kinds in standing),
        )

    def _fork(
        self,
        flags: CloneFlag,
        standing: Sequence[tuple[Fd, Sequence[str]]],
        message: Message,
        theirs: socket.socket,
    ) -> tuple[int, Fd]:
        """Do it ourselves: stand for a moment where the child shall begin, and fork."""
        owner = message.body.get("owner")
        with contextlib.ExitStack() as back:
            for fd, kinds in standing:
                self._stand_in(fd, kinds, back)
            if owner is not None:
                back.enter_context(acting_as_owner(*owner))
            pid, pidfd = clone(flags, pids=_pids(message), cgroup=message.fds.get("cgroup"))
            if pid == 0:
                child.play(theirs, message, self._limits)
        if "init" in message.fds:
            _take_protection(pid)
        return pid, pidfd

    def _stand_in(self, fd: Fd, kinds: Sequence[str], back: contextlib.ExitStack) -> None:
        """Be in the namespaces behind fd (or in its process's) until back unwinds. No name is looked up there."""
        homes = {self._own[kind]: NAMESPACE_FLAGS[kind] for kind in kinds}
        setns(fd, _flags(kinds))
        for home, flag in homes.items():
            back.callback(_return, home, flag)


def _take_protection(pid: int) -> None:
    """Take the keeper's own protection from a child, which may have ended."""
    with contextlib.suppress(OSError):
        process = os.open(f"/proc/{pid}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            reset_memory_score(process)
        finally:
            os.close(process)


def _pids(message: Message) -> tuple[int, ...]:
    pid = message.body.get("pid")
    return () if pid is None else (1, pid)


def _flags(kinds: Iterable[str]) -> CloneFlag:
    flags = CloneFlag.NOTHING
    for kind in kinds:
        flags |= NAMESPACE_FLAGS[kind]
    return flags


def _return(home: Fd, flag: CloneFlag) -> None:
    """Come home. A keeper that could not would look names up in a guest: it ends instead, and guests outlive it."""
    try:
        setns(home, flag)
    except OSError:
        traceback.print_exc()
        os._exit(1)
