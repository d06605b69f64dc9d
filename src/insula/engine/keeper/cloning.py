"""How the keeper clones: for a moment it stands in the namespaces in which the child shall be born."""

import contextlib
import os
import socket
import traceback
from collections.abc import Callable, Iterable
from typing import NoReturn

from insula.engine.keeper.held import HeldProcess
from insula.engine.keeper.protocol import Message, passed_fds, send_go
from insula.kernel.fds import Fd
from insula.kernel.identity import acting_as_owner
from insula.kernel.process import NAMESPACE_FLAGS, CloneFlag, clone, setns

Limits = tuple[int, int]
"""Soft and hard limit of fds that children shall start with."""

_OWN = ("pid", "mnt", "net", "uts", "ipc")
"""The namespaces that the keeper leaves for a moment, and comes back to."""


class Cloner:
    """Clones children, born where they belong.

    A process that enters a guest is born in the guest's mount, network, UTS and IPC namespaces as well as in the PID
    namespace that makes it visible there: whoever traces it finds no way to the keeper's root or the host's network.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._own = {kind: Fd(os.open(f"/proc/self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)) for kind in _OWN}

    def begin(
        self, message: Message, child: Callable[[socket.socket, Message, Limits], NoReturn]
    ) -> tuple[HeldProcess, socket.socket]:
        """Clone a guest's first process; return it and our end of its channel.

        message: namespaces, owner, pid; fds cgroup, shared:KIND.
        """
        flags = _flags(message.body["namespaces"])
        with contextlib.ExitStack() as back:
            for name, fd in message.fds.items():
                if name.startswith("shared:"):
                    self._stand_in(fd, [name.removeprefix("shared:")], back)
            return self._clone(flags, message, child, back, None)

    def enter(
        self, message: Message, child: Callable[[socket.socket, Message, Limits], NoReturn]
    ) -> tuple[HeldProcess, socket.socket]:
        """Clone a process into a running guest, likewise. message: fds init (its pidfd), cgroup, image, and what the
        program receives after init's pidfd."""
        init = message.fds["init"]
        with contextlib.ExitStack() as back:
            self._stand_in(init, _OWN, back)
            passed = [init, *passed_fds(message, without=("init",))]
            return self._clone(CloneFlag.NOTHING, message, child, back, passed)

    def _stand_in(self, fd: Fd, kinds: Iterable[str], back: contextlib.ExitStack) -> None:
        """Be in the namespaces behind fd (or in its process's) until back unwinds. No name is looked up there."""
        flags = {self._own[kind]: NAMESPACE_FLAGS[kind] for kind in kinds}
        setns(fd, _flags(kinds))
        for home, flag in flags.items():
            back.callback(_return, home, flag)

    def _clone(
        self,
        flags: CloneFlag,
        message: Message,
        child: Callable[[socket.socket, Message, Limits], NoReturn],
        back: contextlib.ExitStack,
        passed: list[Fd] | None,
    ) -> tuple[HeldProcess, socket.socket]:
        """passed: fds that wait for the child in its channel before it is there."""
        pid, owner = message.body.get("pid"), message.body.get("owner")
        pids = [] if pid is None else [1, pid]
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            if owner is not None:
                back.enter_context(acting_as_owner(*owner))
            if passed is not None:
                send_go(ours, passed)
            pid, pidfd = clone(flags, pids=pids, cgroup=message.fds.get("cgroup"))
            if pid == 0:
                child(theirs, message, self._limits)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return HeldProcess("", pid, pidfd), ours


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
