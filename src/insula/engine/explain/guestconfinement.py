"""What holds a guest, as values: all that a refusal is judged by."""

from dataclasses import dataclass
from functools import cached_property

from insula.engine.policy.capabilities import default_kept
from insula.engine.policy.devicepolicy import device_rules
from insula.engine.policy.syscalls import filter_of, programs
from insula.engine.spec import ContainerSpec, Seccomp
from insula.kernel.cgroups import DeviceRule


@dataclass(frozen=True, kw_only=True, slots=True)
class Readings:
    """What the kernel counts of a guest: of each limit how much is used, what it is, and how often it was met.

    None where the host does not count, or there is no limit. tasks: processes and threads; memory: bytes; oom_kills:
    processes killed for want of memory; host_limits: the host's own quotas of kernel objects, by name below
    /proc/sys/user.
    """

    tasks: int | None = None
    tasks_limit: int | None = None
    tasks_refused: int = 0
    memory: int | None = None
    memory_limit: int | None = None
    oom_kills: int = 0
    host_limits: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, kw_only=True)
class GuestConfinement:
    """spec: what it was started from, with what was attached since; filesystems: those the host's kernel has;
    readings: what is counted now; security_label: what a security module calls the guest's first process."""

    spec: ContainerSpec
    filesystems: frozenset[str] = frozenset()
    readings: Readings = Readings()
    security_label: str = ""

    @property
    def privileged(self) -> bool:
        """Whether its root is the host's."""
        return self.spec.idmap is None

    @cached_property
    def seccomp(self) -> Seccomp:
        """The settings of its filter, with what was left open decided."""
        return filter_of(self.spec)

    @cached_property
    def filter_program(self) -> bytes | None:
        """The filter as it was loaded, None for none."""
        return next(iter(programs(self.seccomp)), None)

    @cached_property
    def capabilities(self) -> frozenset[str]:
        """What its first process has kept."""
        kept = self.spec.capabilities
        return default_kept(privileged=self.privileged) if kept is None else kept

    @cached_property
    def devices(self) -> tuple[DeviceRule, ...]:
        """Its device policy."""
        return device_rules(self.spec.devices, tunnels=self.spec.network_share is None)

    def inner_uid(self, uid: int) -> int | None:
        """Return what the guest calls a user of the host, None for one that is not among its ids."""
        return self._inner(uid, "uids")

    def inner_gid(self, gid: int) -> int | None:
        """Return what the guest calls a group of the host, None for one that is not among its ids."""
        return self._inner(gid, "gids")

    def _inner(self, number: int, kind: str) -> int | None:
        if self.spec.idmap is None:
            return number
        for each in getattr(self.spec.idmap, kind):
            if each.outside <= number < each.outside + each.count:
                return int(each.inside + number - each.outside)
        return None

    def has_uid(self, uid: int) -> bool:
        """Whether the guest has a user of that number of its own."""
        return self._has(uid, "uids")

    def has_gid(self, gid: int) -> bool:
        """Whether the guest has a group of that number of its own."""
        return self._has(gid, "gids")

    def _has(self, number: int, kind: str) -> bool:
        if self.spec.idmap is None:
            return True
        return any(each.inside <= number < each.inside + each.count for each in getattr(self.spec.idmap, kind))
