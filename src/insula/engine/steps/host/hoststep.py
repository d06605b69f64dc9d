"""The common ground of steps performed on the host's side: what they work on, and what they leave there."""

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, ClassVar, Generic, TypeVar

from insula.engine.facts import Facts
from insula.engine.interfaceperformer import InterfacePerformer
from insula.engine.launch.holdings import Holding
from insula.engine.launch.readyscopes import ReadyScope, ReadyScopes
from insula.engine.machineviews import MachineViews
from insula.engine.steps.step import Step
from insula.kernel.bpf import LoadedPrograms
from insula.kernel.cgroups import Cgroup, DeviceRule
from insula.kernel.fds import NO_FD, Fd, close_all

T = TypeVar("T")

Offload = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Performs a function that may block for long, such as `asyncio.to_thread`."""


class Makings(Generic[T]):
    """What a function makes that performs elsewhere, for a caller that may be cancelled before it has it.

    make, then undone by `undo` if the caller has given up: by whoever of the two comes later.
    """

    def __init__(self, make: Callable[[], T], undo: Callable[[T], object]) -> None:
        self._make, self._undo = make, undo
        self._lock = Lock()
        self._made: list[T] = []
        self._given_up = False

    def perform(self) -> None:
        made = self._make()
        with self._lock:
            if not self._given_up:
                self._made.append(made)
                return
        self._undo(made)

    def take(self) -> T:
        """Return what was made, the caller's from now on."""
        return self._made.pop()

    def give_up(self) -> None:
        with self._lock:
            self._given_up = True
        while self._made:
            self._undo(self._made.pop())


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

    identity: the domain's id, which is init's pid to be where that can be chosen; processors: those of the host that
    were chosen for the guest, a list such as `0-1`, None where nobody did; fetch_netlink: gets the socket the
    child opens inside; offload: for what may block for long; scopes: who makes them on a host of systemd's; loaded:
    programs that the kernel has for groups; scope: the one that was taken; group: the control group; clone_fds: what
    the clone is given; fds: what the guest is given, by the names its steps use; child: init's pid once it is
    cloned; process: an fd of its /proc directory; netlink: the socket once it is fetched; layers: of an overlay to be;
    notices: the socket by which init tells of its state, taken by whoever holds the guest; born: init's start time in
    clock ticks since boot; views: serve machine views; view: the connection of the guest's, by the keeper's names,
    taken likewise;
    images: what block devices were made of image files, by the names of their nodes; unmet: what the guest should
    have had and can do without, for whoever launches it.
    """

    facts: Facts
    performer: InterfacePerformer | None
    identity: int
    launch: str
    fetch_netlink: Callable[[], Awaitable[Fd]]
    offload: Offload = inline
    processors: str | None = None
    scopes: ReadyScopes | None = None
    loaded: LoadedPrograms = field(default_factory=LoadedPrograms)
    scope: ReadyScope | None = None
    group: Cgroup | None = None
    clone_fds: dict[str, Fd] = field(default_factory=dict)
    fds: dict[str, Fd] = field(default_factory=dict)
    child: int = -1
    process: Fd = NO_FD
    netlink: Fd = NO_FD
    notices: Fd = NO_FD
    born: int = 0
    views: MachineViews | None = None
    view: dict[str, Fd] = field(default_factory=dict)
    layers: Layers | None = None
    images: dict[str, DeviceRule] = field(default_factory=dict)
    unmet: list[str] = field(default_factory=list)
    _kept: list[Fd] = field(default_factory=list)
    _user_namespace: Fd = NO_FD
    _network_namespace: Fd = NO_FD

    async def make(self, make: Callable[[], T], undo: Callable[[T], object]) -> T:
        """Return what make returns, performed as `offload` does; if we are cancelled, it is undone once it is there.

        A thread that we no longer wait for goes on: what it made would be nobody's to let go of.
        """
        makings = Makings(make, undo)
        try:
            await self.offload(makings.perform)
            return makings.take()
        except BaseException:
            makings.give_up()
            raise

    _closed: bool = False

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

    def hold_scope(self, taken: ReadyScope) -> ReadyScope:
        """Have a scope given back when this is closed, or now if it is; any thread may call. Return it."""
        self.scope = taken
        if self._closed:
            self._give_scope_back()
        return taken

    def _give_scope_back(self) -> None:
        taken, self.scope = self.scope, None
        if taken is not None and self.scopes is not None:
            self.scopes.give_back(taken)

    def close(self) -> None:
        """Close all fds: whoever needed one has a copy by now. The guest lives in its scope, or will in none."""
        self._closed = True
        self._give_scope_back()
        opened = (self.process, self.netlink, self.notices, self._user_namespace, self._network_namespace)
        close_all(fd for fd in opened if fd >= 0)
        close_all([*self.clone_fds.values(), *self.fds.values(), *self.view.values(), *self._kept])
        self.view.clear()
        self.process = self.netlink = self.notices = self._user_namespace = self._network_namespace = NO_FD
        self.clone_fds.clear()
        self.fds.clear()
        self._kept.clear()


@dataclass(frozen=True, kw_only=True, slots=True)
class HostStep(Step):
    """A step performed on the host's side."""

    needs_child: ClassVar[bool] = False
    """Whether the clone must have happened; a step that does not may be performed while the keeper is cloning."""

    def announce(self, identity: int) -> tuple[Holding, ...]:
        """Return what may be left of it if we die while it is performed, as far as that is known beforehand.

        identity: the domain's id. Raises: OSError if it cannot be performed.
        """
        return ()

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        """Do it; return what outlives the context's fds, and is to be taken away. Raises: OSError, InsulaError."""
        raise NotImplementedError
