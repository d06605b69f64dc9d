"""Where a container's control group is made, and who is told: two ways behind one protocol.

    direct   no systemd on the host: our own directories, made before the clone, so that a process starts inside
    scope    systemd is process 1: the tree is its own, and we may only make groups below a scope that it delegates. A
             scope is made around a process that runs already, so it comes after the clone. Where systemd-machined
             answers it is told too, so that machinectl, ps and journalctl know the container by name

Below a scope the group `insula` holds the limits: attributes of the scope itself are systemd's, which sets them anew
whenever it reloads. Source: systemd's document on control group delegation.
"""

from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from insula.engine.launch.systemdscope import AwaitedScope, Manager, Scope, ScopeError, Scopes
from insula.engine.spec import CgroupPlacement
from insula.errors import OperationFailedError
from insula.kernel.cgroups import Cgroup, Hierarchies, machine_name, partition_path, scope_name, slice_name

IN_SCOPE = "insula"
"""The group below a systemd scope that is ours."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlacementRequest:
    """The container to be placed.

    identity: its domain id; owner: host uid and gid of the guest's root, None for the host's own. For the register of
    containers: uuid; root: its directory as the host sees it, empty if it does not; interfaces: indices of the host's
    ends.
    """

    name: str
    identity: int
    placement: CgroupPlacement
    uuid: str = ""
    owner: tuple[int, int] | None = None
    root: str = ""
    interfaces: tuple[int, ...] = ()

    @property
    def group_name(self) -> str:
        """The group's name: the one that was asked for, with `{id}` filled in, else libvirt's."""
        wanted = self.placement.name
        if wanted is None:
            return scope_name(self.identity, self.name)
        return wanted.replace("{id}", str(self.identity))

    @property
    def path(self) -> str:
        """The group's path below a hierarchy's root. Raises: OSError(EINVAL) if the partition would lead elsewhere."""
        return f"{self.partition}/{self.group_name}" if self.partition else self.group_name

    @property
    def partition(self) -> str:
        """The path of the group above it. Raises: as `path`."""
        return partition_path(self.placement.partition)


class Placement(Protocol):
    """How control groups come and go. All are blocking; those through D-Bus take some milliseconds."""

    def reserve(self, request: PlacementRequest) -> Cgroup | None:
        """Make the group before the clone, None if it can only be made around a process.

        Raises: OSError; FileExistsError if there is such a group.
        """
        ...

    def settle(self, request: PlacementRequest, reserved: Cgroup | None, pid: int) -> Cgroup:
        """Return the group with the process in it, in every hierarchy; one cloned into `reserved` is there already.

        Raises: OSError, OperationFailedError; nothing is left behind then, but what was reserved.
        """
        ...

    def released_at_once(self, group: Cgroup) -> bool:
        """Do what `release` does if that waits for nothing, and return whether it did. Raises: OSError."""
        ...

    def release(self, group: Cgroup) -> None:
        """Remove the group, whose processes are dead, and what was made for it; what is gone already is fine.

        The partition stays for the next container, until `kernel.cgroups.remove_empty_partitions`.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class DirectPlacement:
    """Our own directories."""

    hierarchies: Hierarchies

    def reserve(self, request: PlacementRequest) -> Cgroup:
        return Cgroup.create(self.hierarchies, request.path, request.owner)

    def settle(self, request: PlacementRequest, reserved: Cgroup | None, pid: int) -> Cgroup:
        if reserved is not None:
            return reserved
        group = Cgroup.create(self.hierarchies, request.path, request.owner)
        try:
            group.enter(pid)
        except OSError:
            group.remove()
            raise
        return group

    def released_at_once(self, group: Cgroup) -> bool:
        return group.removed_at_once()

    def release(self, group: Cgroup) -> None:
        group.remove(above_too=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class ScopePlacement:
    """Below a scope that systemd makes for us, and that systemd-machined registers where it runs.

    The scope's name is systemd-machined's, which is libvirt's too; one that the spec asks for does not count.
    """

    hierarchies: Hierarchies
    manager: Manager
    scopes: Scopes

    def reserve(self, request: PlacementRequest) -> Cgroup | None:
        return None

    def settle(self, request: PlacementRequest, reserved: Cgroup | None, pid: int) -> Cgroup:
        awaited = self.ask(request, pid)
        group = self.place(request, awaited)
        self.register(awaited)
        return group

    def ask(self, request: PlacementRequest, pid: int) -> AwaitedScope:
        """Have the scope made around the process; others can do something meanwhile. Raises: OperationFailedError."""
        try:
            return self.scopes.ask(_scope(request, pid))
        except ScopeError as error:
            raise _refused(request, error) from error

    def ask_at_once(self, request: PlacementRequest, pid: int) -> AwaitedScope | None:
        """Do as `ask` if that takes no waiting, else return None."""
        return self.scopes.ask_at_once(_scope(request, pid))

    def place(self, request: PlacementRequest, awaited: AwaitedScope) -> Cgroup:
        """Await the scope, and make the group below it with the process inside. Raises: as `settle`.

        The group is made as soon as the scope's own is there, while systemd moves the process into that: moving one
        takes the kernel a grace period of some milliseconds, but none if another move has just been.
        """
        early = _EarlyGroup(self.hierarchies, f"{request.partition}/{awaited.scope.unit}")
        try:
            path = self.scopes.await_leader(awaited, early.make)
        except ScopeError as error:
            early.drop()
            raise _refused(request, error) from error
        try:
            group = early.at(path)
            group.take_in(awaited.scope.leader, request.owner)
        except OSError:
            early.drop()
            self._stop(path)
            raise
        return group

    def register(self, awaited: AwaitedScope) -> None:
        """Have systemd-machined know the container, where that runs."""
        if self.manager is Manager.MACHINED:
            self.scopes.register(awaited.scope)

    def released_at_once(self, group: Cgroup) -> bool:
        return False

    def release(self, group: Cgroup) -> None:
        group.remove()
        path = group.path.removesuffix(f"/{IN_SCOPE}")
        if self.hierarchies.v2 is None or self._inhabited(path):
            self._stop(path)

    def _inhabited(self, path: str) -> bool:
        """Whether somebody has come into the scope beside our group; without any, systemd removes it on its own."""
        scope = Cgroup(self.hierarchies, path)
        try:
            return scope.populated
        except OSError:
            # systemd may remove it at any instant: also between the file's opening and its reading (ENODEV).
            return scope.exists()

    def _stop(self, path: str) -> None:
        try:
            self.scopes.stop(path.rpartition("/")[2])
        except ScopeError as error:
            raise OperationFailedError(f"systemd does not end the scope '{path}': {error}") from error


class _EarlyGroup:
    """The group below a scope that systemd is making. expected: where that will be, below the hierarchy's root."""

    def __init__(self, hierarchies: Hierarchies, expected: str) -> None:
        self._hierarchies = hierarchies
        self._expected = expected
        self._group: Cgroup | None = None

    def make(self) -> None:
        """Make it, if the scope's own group is there. With more hierarchies, systemd is not done with that one yet."""
        if self._group is None and not self._hierarchies.v1:
            # What else is wrong is said by `at`.
            with suppress(OSError):
                self._group = Cgroup.lay_out(self._hierarchies, f"{self._expected}/{IN_SCOPE}")

    def at(self, path: str) -> Cgroup:
        """Return it, below the scope that is at path. Raises: OSError."""
        if self._group is None or path != self._expected:
            self.drop()
            self._group = Cgroup.lay_out(self._hierarchies, f"{path}/{IN_SCOPE}")
        return self._group

    def drop(self) -> None:
        """Remove it; whatever stays is systemd's to remove, with the scope."""
        if self._group is not None:
            with suppress(OSError):
                self._group.remove(above_too=False)
            self._group = None


def _scope(request: PlacementRequest, pid: int) -> Scope:
    return Scope(
        machine=machine_name(request.identity, request.name),
        uuid=request.uuid,
        slice=slice_name(request.placement.partition),
        leader=pid,
        root=request.root,
        interfaces=request.interfaces,
    )


def _refused(request: PlacementRequest, error: ScopeError) -> OperationFailedError:
    return OperationFailedError(f"systemd makes no scope for '{request.name}': {error}")
