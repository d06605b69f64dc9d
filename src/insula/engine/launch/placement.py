"""Where a container's control group is made, and who is told: two ways behind one protocol.

    direct   no systemd on the host: our own directories
    scope    systemd is process 1: the tree is its own, and we may only make groups below a scope that it delegates

Either is there before the clone, so that a process starts inside. Source: systemd's document on control group
delegation.
"""

from dataclasses import dataclass
from typing import Protocol

from insula.engine.launch.readyscopes import IN_SCOPE
from insula.engine.launch.systemdscope import ScopeError, Scopes
from insula.engine.spec import CgroupPlacement
from insula.errors import OperationFailedError
from insula.kernel.cgroups import Cgroup, Hierarchies, partition_path, scope_name


@dataclass(frozen=True, kw_only=True, slots=True)
class PlacementRequest:
    """The container to be placed.

    identity: its domain id; owner: host uid and gid of the guest's root, None for the host's own.
    """

    name: str
    identity: int
    placement: CgroupPlacement
    owner: tuple[int, int] | None = None

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
    """How control groups go. All are blocking; those through D-Bus take some milliseconds."""

    def released_at_once(self, group: Cgroup) -> bool:
        """Do what `release` does if that waits for nothing, and return whether it did. Raises: OSError."""
        ...

    def release(self, group: Cgroup) -> None:
        """Remove the group, whose processes are dead, and what was made for it; what is gone already is fine.

        The partition stays for the next container, until `kernel.cgroups.remove_empty_partitions`.
        Raises: OSError, OperationFailedError.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class DirectPlacement:
    """Our own directories."""

    hierarchies: Hierarchies

    def reserve(self, request: PlacementRequest) -> Cgroup:
        """Make the group before the clone. Raises: OSError; FileExistsError if there is such a group."""
        return Cgroup.create(self.hierarchies, request.path, request.owner)

    def released_at_once(self, group: Cgroup) -> bool:
        return group.removed_at_once()

    def release(self, group: Cgroup) -> None:
        group.remove(above_too=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class ScopePlacement:
    """Below a scope that systemd made for us, and that it removes once it is empty."""

    hierarchies: Hierarchies
    scopes: Scopes

    def released_at_once(self, group: Cgroup) -> bool:
        if not group.removed_at_once() or self._to_be_stopped(group):
            return False
        self._look_after(group)
        return True

    def release(self, group: Cgroup) -> None:
        group.remove()
        if self._to_be_stopped(group):
            self._stop(unit_around(group.path))
        else:
            self._look_after(group)

    def _look_after(self, group: Cgroup) -> None:
        scope = Cgroup(self.hierarchies, _around(group.path))
        if scope.exists():
            self.scopes.look_after(scope)

    def _to_be_stopped(self, group: Cgroup) -> bool:
        """Whether systemd would leave the scope as it is: somebody has come into it beside our group."""
        if self.hierarchies.v2 is None:
            # There systemd may not see that a group becomes empty.
            return True
        scope = Cgroup(self.hierarchies, _around(group.path))
        try:
            return scope.populated
        except OSError:
            # systemd may remove it at any instant: also between the file's opening and its reading (ENODEV).
            return scope.exists()

    def _stop(self, unit: str) -> None:
        try:
            self.scopes.stop(unit)
        except ScopeError as error:
            raise OperationFailedError(f"systemd does not end the scope '{unit}': {error}") from error


def unit_around(path: str) -> str:
    """Return the name of the scope that the group at a path is in."""
    return _around(path).rpartition("/")[2]


def _around(path: str) -> str:
    """Return the path of the scope that the group of ours at a path is in."""
    return path.removesuffix(f"/{IN_SCOPE}")
