"""Steps played in this very process, in tests: what they would do inside."""

import os
import socket
from contextlib import suppress
from typing import Any

from insula.engine.accounts import Account, account_file
from insula.engine.keeper.protocol import receive
from insula.engine.program.assembly import Argument, Loaded, Result, _encoded
from insula.engine.program.builder import Builder
from insula.engine.program.player import Player
from insula.engine.steps.guest.execution import PassDescriptors
from insula.engine.steps.guest.gueststep import GuestStep
from insula.kernel.fds import NO_FD, Fd, close_all, memory_file
from insula.kernel.privileges import last_capability, permitted_mask
from tests.descriptors import open_fds


class Us:
    """What a process that is about to become part of a guest has in hands, from step to step.

    told: what it said to the keeper, with copies of the fds that it sent along.
    """

    def __init__(self, fds: dict[str, Fd]) -> None:
        self.fds = fds
        self.root = NO_FD
        self.terminals: list[Fd] = []
        self.told: list[tuple[dict[str, Any], dict[str, Fd]]] = []


def guest(*, below: int = NO_FD, **fds: int) -> Us:
    """Return a process that has these fds, and below for its root to be."""
    us = Us({name: Fd(fd) for name, fd in fds.items()})
    us.root = Fd(below)
    return us


class _Inside(Builder):
    """Says what is done with fds that are there already."""

    def __init__(self, us: Us, **more: Any) -> None:
        super().__init__(last_capability=last_capability(), permitted=permitted_mask(), **more)
        self._us = us
        self.root = us.root if us.root >= 0 else None
        self.terminals = list(us.terminals)

    def passed(self, name: str) -> Argument:
        return self._us.fds[name]


def _open_now() -> set[int]:
    with suppress(FileNotFoundError):  # a test in a root without /proc looks after its fds itself
        return open_fds()
    return set()


def perform(us: Us, *steps: GuestStep, most_groups: int = 64) -> None:
    """Play steps right here; us is what they leave.

    Raises: OSError for a record that failed, with its meaning's text and what it is about as the file name.
    """
    program = _Inside(us, most_groups=most_groups)
    for step in steps:
        step.compile(program)
    finished = program.finished()
    before = _open_now()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if any(isinstance(step, PassDescriptors) for step in steps):
        os.dup2(ours.fileno(), 0)  # the keeper is another process, whose end nobody closes here
    with ours, theirs:
        image = memory_file("program", finished.image)
        player = Player(image, theirs.fileno())
        os.close(image)
        failed = player.play()
        theirs.close()
        while (message := receive(ours)) is not None:
            us.told.append((message.body, message.fds))
    if failed is not None:
        # The process would end.
        close_all(int(fd) for fd in _open_now() - before)
        meaning = finished.meaning(*failed)
        raise OSError(meaning.errno or 0, meaning.text, meaning.about or None)
    data_at = len(finished.image) - len(program._data)

    def value(argument: Argument) -> Fd:
        if isinstance(argument, Result):
            return Fd(player.results[argument.record])
        if isinstance(argument, Loaded):
            _, offset = _encoded(argument, data_at)
            return Fd(int.from_bytes(player._memory[offset : offset + 4], "little", signed=True))
        assert isinstance(argument, int)
        return Fd(argument)

    us.root = NO_FD if program.root is None else value(program.root)
    us.terminals = [value(each) for each in program.terminals]
    us.fds |= {name: value(each) for name, each in program._trees.items()}


def account(uid: int, gid: int, groups: list[int], home: str = "/", *, most_groups: int = 64) -> Fd:
    """Return a file that says who to become."""
    return account_file(Account(uid, gid, groups, home), most_groups)
