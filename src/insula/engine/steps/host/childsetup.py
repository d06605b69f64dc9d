"""Steps that give the newborn process what only the host can: id maps, interfaces, filters, offsets of clocks."""

import errno
import os
import posixpath
import resource
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from insula.engine.accounts import GROUPS_MAX, Account, account_file, find_account, lines_below, lines_of
from insula.engine.interfacespec import Interface, UserInterface, VethInterface
from insula.engine.launch.holdings import CardHelpers, ControlGroup, Holding, Interfaces
from insula.engine.spec import IdRange
from insula.engine.steps.host.groups import GroupRequest, group_of
from insula.engine.steps.host.helpergroups import group_beside, helper_place
from insula.engine.steps.host.hoststep import HostContext, HostStep
from insula.errors import OperationFailedError
from insula.kernel.fds import Fd, close_all
from insula.kernel.idmap import write_maps
from insula.kernel.process import reset_memory_score

_PATIENCE = 10.0
_PAUSE = 0.0002
"""Seconds to wait for the child, and between two looks."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MapIds(HostStep):
    """Write the id maps of the child's user namespace."""

    needs_child: ClassVar[bool] = True
    phrase: ClassVar[str] = "map its ids"

    uids: tuple[IdRange, ...]
    gids: tuple[IdRange, ...]

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        uids, gids = ([(each.inside, each.outside, each.count) for each in map_] for map_ in (self.uids, self.gids))
        write_maps(context.process, uids, gids)
        return ()


@dataclass(frozen=True, kw_only=True, slots=True)
class SetClockOffsets(HostStep):
    """Set the offsets of the time namespace that the child has made and not yet entered. Source: time_namespaces(7)."""

    needs_child: ClassVar[bool] = True
    phrase: ClassVar[str] = "shift its clocks by {monotonic} s (monotonic) and {boottime} s (since boot)"

    monotonic: int
    boottime: int

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        self._await_namespace(context)
        self._write(context, "timens_offsets", f"monotonic {self.monotonic} 0\nboottime {self.boottime} 0\n")
        return ()

    @staticmethod
    def _await_namespace(context: HostContext) -> None:
        """Wait until the child has made it: until then the file stands for the host's own, which nobody may shift.

        A clone with CLONE_NEWTIME would enter it at once. It is one of the first things the child does.
        """
        ours = os.stat("/proc/self/ns/time").st_ino
        deadline = time.monotonic() + _PATIENCE
        while os.stat("ns/time_for_children", dir_fd=context.process).st_ino == ours:
            if time.monotonic() > deadline:
                raise TimeoutError(errno.ETIMEDOUT, "the child has made no time namespace")
            time.sleep(_PAUSE)

    @staticmethod
    def _write(context: HostContext, name: str, text: str) -> None:
        fd = os.open(name, os.O_WRONLY | os.O_CLOEXEC, dir_fd=context.process)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)


@dataclass(frozen=True, kw_only=True, slots=True)
class ResetOutOfMemoryScore(HostStep):
    """Take back the protection against the out-of-memory killer that the child inherited from the keeper."""

    needs_child: ClassVar[bool] = True
    phrase: ClassVar[str] = "be as likely to be killed for memory as anybody"

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        reset_memory_score(context.process)
        return ()


@dataclass(frozen=True, kw_only=True, slots=True)
class AllowLimit(HostStep):
    """Raise a hard limit of the child as far as it will want it: in a user namespace nobody may do that himself.

    name: as in getrlimit(2), without `RLIMIT_`; hard: None is infinity.
    """

    needs_child: ClassVar[bool] = True
    phrase: ClassVar[str] = "let it raise its limit {name}"

    name: str
    hard: int | None

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        kind = getattr(resource, f"RLIMIT_{self.name}")
        wanted = resource.RLIM_INFINITY if self.hard is None else self.hard
        # Where we may not, the child still has what it inherited, and says itself what it lacks.
        with suppress(PermissionError):
            soft, present = resource.prlimit(context.child, kind)
            if present != resource.RLIM_INFINITY and (wanted == resource.RLIM_INFINITY or wanted > present):
                resource.prlimit(context.child, kind, (soft, wanted))
        return ()


@dataclass(frozen=True, kw_only=True, slots=True)
class FetchNetlink(HostStep):
    """Wait for the socket that the child opens in its network namespace, once it has made that."""

    needs_child: ClassVar[bool] = True
    phrase: ClassVar[str] = "receive a netlink socket of its network"

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        context.netlink = await context.fetch_netlink()
        return ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectInterfaces(HostStep):
    """Have the network's performer make the interfaces, in the child's network namespace.

    guest: where the guest's control group is made, if helpers of interfaces have one beside it that is to be held.
    """

    needs_child: ClassVar[bool] = True
    phrase: ClassVar[str] = "connect {interfaces}"

    interfaces: tuple[Interface, ...]
    guest: GroupRequest | None = None

    def announce(self, identity: int) -> tuple[Holding, ...]:
        if not any(isinstance(each, UserInterface) for each in self.interfaces):
            return ()
        return (*self._group(identity, made=False), CardHelpers())

    def _group(self, identity: int, *, made: bool) -> tuple[Holding, ...]:
        if self.guest is None:
            return ()
        return (ControlGroup(path=group_beside(self.guest.placed(identity).path), made=made),)

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        performer = context.performer
        if performer is None:
            raise OperationFailedError("there is nobody here to connect network interfaces")
        connected = await performer.connect(self.interfaces, netns_pid=context.child, netlink=context.netlink)
        slow = [pair for pair in zip(connected, self.interfaces, strict=False) if _takes_its_time(pair[1])]
        if slow:
            place = helper_place(group_of(context), context.launch)
            join = partial(performer.join, slow, place, network=context.network_namespace)
            joined = {each.guest: each for each in await context.offload(join)}
            connected = tuple(joined.get(each.guest, each) for each in connected)
        if not connected:
            return ()
        return (*self._group(context.identity, made=True), Interfaces(connected=connected))


def _takes_its_time(interface: Interface) -> bool:
    """Whether it is connected by a program of the host's, which nobody waits for on a loop."""
    return isinstance(interface, UserInterface) or (
        isinstance(interface, VethInterface) and interface.switch is not None
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class FindAccount(HostStep):
    """Find out who a user of the guest's is, by the guest's own files.

    root: the name of its root; mounts: names of trees and where they are shown, the last one on top; links in the
    root that lead below one of these places do not count.
    """

    needs_child: ClassVar[bool] = True
    phrase: ClassVar[str] = "find the guest's user {user}"

    user: str
    group: str | None
    root: str
    mounts: tuple[tuple[str, str], ...] = ()

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        # Duplicates: should the launch be given up, the thread goes on.
        names = (self.root, *(name for name, _ in self.mounts))
        trees = {name: Fd(os.dup(context.fds[name])) for name in names}
        # The guest may have written much there, on a disk that is slow.
        account = await context.offload(partial(self._found, trees))
        context.fds["account"] = account_file(account, GROUPS_MAX)
        return ()

    def _found(self, trees: Mapping[str, Fd]) -> Account:
        """Look; closes the trees."""

        def lines(path: str) -> Iterable[str]:
            for name, target in reversed(self.mounts):
                inside = posixpath.relpath(path, target)
                if inside == ".":
                    return lines_of(trees[name], path)
                if not inside.startswith(".."):
                    return lines_below(trees[name])(inside)
            return lines_below(trees[self.root])(path)

        try:
            return find_account(lines, self.user, self.group)
        finally:
            close_all(trees.values())
