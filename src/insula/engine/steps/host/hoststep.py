"""The common ground of steps performed on the host's side: what they work on, and what they leave there."""

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from insula.engine.facts import Facts
from insula.engine.interfaceperformer import InterfacePerformer
from insula.engine.launch.holdings import Holding
from insula.engine.launch.systemdscope import AwaitedScope, Scopes
from insula.engine.steps.step import Step
from insula.kernel.bpf import LoadedPrograms
from insula.kernel.cgroups import Cgroup
from insula.kernel.fds import NO_FD, Fd, close_all

Offload = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Performs a function that may block for long, such as `asyncio.to_thread`."""


async def inline(function: Callable[[], Any]) -> Any:
    """Perform a function right here, where nobody else waits."""
    return function()


@dataclass(frozen=True, kw_only=True, slots=True)
class Layers:
    """Opened layers of an overlay, fds that the context keeps. lower: the top one first; tree: the detached mount that
    the directories upper and work are in; mapped_tree: it is shown under the guest's ids, as the lower ones are."""

    lower: tuple[Fd, ...]
    tree: Fd
    upper: Fd
    work: Fd
    mapped_tree: bool


@dataclass(kw_only=True, slots=True)
class HostContext:
    """Where one launch is being worked on: what the steps so far have made.

    identity: the domain's id, which is init's pid to be where that can be chosen; fetch_netlink: gets the socket the
    child opens inside; offload: for what may block for long; scopes: who makes them on a host of systemd's; loaded:
    programs that the kernel has for groups; awaited: the scope that was asked for; group: the control group; clone_fds:
    what the clone is given; fds: what the guest is given, by the names its steps use; child: init's pid once it is
    cloned; process: an fd of its /proc directory; netlink: the socket once it is fetched; layers: of an overlay to be.
    """

    facts: Facts
    performer: InterfacePerformer | None
    identity: int
    launch: str
    fetch_netlink: Callable[[], Awaitable[Fd]]
    offload: Offload = inline
    scopes: Scopes = field(default_factory=Scopes)
    loaded: LoadedPrograms = field(default_factory=LoadedPrograms)
    awaited: AwaitedScope | None = None
    group: Cgroup | None = None
    clone_fds: dict[str, Fd] = field(default_factory=dict)
    fds: dict[str, Fd] = field(default_factory=dict)
    child: int = -1
    process: Fd = NO_FD
    netlink: Fd = NO_FD
    layers: Layers | None = None
    _kept: list[Fd] = field(default_factory=list)
    _user_namespace: Fd = NO_FD
    _network_namespace: Fd = NO_FD

    @property
    def network_namespace(self) -> Fd:
        """The child's network namespace."""
        if self._network_namespace < 0:
            self._network_namespace = Fd(os.open("ns/net", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.process))
        return self._network_namespace

    @property
    def user_namespace(self) -> Fd:
        """The child's user namespace, for the id maps of mounts."""
        if self._user_namespace < 0:
            self._user_namespace = Fd(os.open("ns/user", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.process))
        return self._user_namespace

    def keep(self, fd: Fd) -> Fd:
        """Have an fd closed with the others; return it."""
        self._kept.append(fd)
        return fd

    def close(self) -> None:
        """Close all fds: whoever needed one has a copy by now."""
        close_all(fd for fd in (self.process, self.netlink, self._user_namespace, self._network_namespace) if fd >= 0)
        close_all([*self.clone_fds.values(), *self.fds.values(), *self._kept])
        self.process = self.netlink = self._user_namespace = self._network_namespace = NO_FD
        self.clone_fds.clear()
        self.fds.clear()
        self._kept.clear()


@dataclass(frozen=True, kw_only=True, slots=True)
class HostStep(Step):
    """A step performed on the host's side."""

    needs_child: ClassVar[bool] = False
    """Whether the clone must have happened; a step that does not may be performed while the keeper is cloning."""
    urgent: ClassVar[bool] = False
    """Whether the child is awaited for it before anything else is done: others begin to work then."""

    def announce(self, identity: int) -> tuple[Holding, ...]:
        """Return what may be left of it if we die while it is performed, as far as that is known beforehand.

        identity: the domain's id. Raises: OSError if it cannot be performed.
        """
        return ()

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        """Do it; return what outlives the context's fds, and is to be taken away. Raises: OSError, InsulaError."""
        raise NotImplementedError
