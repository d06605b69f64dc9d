"""Control groups that only remember what was asked of them."""

import errno
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from insula.kernel.cgroups import Course, Hierarchies, Pressure, furtherlimits
from insula.kernel.cgroups.heldlimits import HeldLimits, HugePageLimit, busy
from insula.kernel.cgroups.idlememory import IdleMemory
from insula.kernel.cgroups.stats import CpuUse, DeviceUse, MemoryUse, Stats, TaskUse


@dataclass(slots=True)
class FakeMemory:
    """limits: what was set, in bytes, by the words memory, swap, soft and guarantee; undone: how often half a change
    was looked for; used: bytes; freed: how many one round frees; stuck: how many nothing frees; squeezed: the limit
    that memory is being freed for; before: called with what is about to change, and may raise what the kernel would.
    """

    before: Callable[[str], None] = lambda _: None
    limits: dict[str, int] = field(default_factory=dict)
    used: int = 20 << 20
    freed: int = 64 << 20
    stuck: int = 0
    anonymous: int = 8 << 20
    shared: int = 0
    swap: int = 0
    undone: int = 0
    squeezed: int | None = None

    def limit(self, memory: int | None = None, memory_and_swap: int | None = None) -> None:
        self.before("limit memory")
        self.limits |= {"memory": memory or 0} if memory is not None else {}
        self.limits |= {"swap": memory_and_swap or 0} if memory_and_swap is not None else {}

    def shrinking(self, memory: int) -> "FakeShrinking":
        return FakeShrinking(memory=self, limit=memory)

    @property
    def has_unfinished(self) -> bool:
        return not self.undone

    def undo_unfinished(self) -> bool:
        self.undone += 1
        return True

    def limit_softly(self, memory: int) -> None:
        self.limits["soft"] = memory

    def guarantee(self, memory: int) -> None:
        self.limits["guarantee"] = memory

    @property
    def idle(self) -> IdleMemory | None:
        return None

    def held(self) -> tuple[int | None, int | None, int | None, int | None]:
        held = self.limits
        return held.get("memory"), held.get("soft"), held.get("guarantee"), held.get("swap")

    def use(self, *, summary: bool = False) -> MemoryUse:
        return MemoryUse(
            usage=self.used,
            peak=None,
            limit=64 << 20,
            swap=self.swap,
            anonymous=self.anonymous,
            cache=12 << 20,
            inactive_cache=4 << 20,
            shared=self.shared,
            unevictable=0,
            page_faults=100,
            major_faults=7,
        )


@dataclass(slots=True)
class FakeShrinking:
    """Frees what the group's memory says, round by round, and lowers its limit on the way, as v1 does."""

    memory: FakeMemory
    limit: int
    former: int | None = None

    def shrink(self, course: Course) -> None:
        memory, path = self.memory, "memory.max"
        memory.before("shrink memory")
        memory.squeezed, self.former = self.limit, memory.limits.get("memory")
        while True:
            course.tell(memory.used)
            if memory.used <= self.limit:
                return
            before = memory.used
            memory.used = max(self.limit, memory.stuck, memory.used - memory.freed)
            if memory.used == before and memory.freed:  # one that frees nothing goes on for ever
                raise busy(path, self.limit, memory.used)
            if memory.used != before:
                memory.limits["memory"] = memory.used
            if course.rest(0.001):
                raise OSError(errno.ECANCELED, "given up", path)

    def end(self, *, limited: bool) -> None:
        self.memory.squeezed = None
        if self.former is not None and not limited:
            self.memory.limits["memory"] = self.former


@dataclass(slots=True)
class FakeCpu:
    """before: as FakeMemory has it."""

    before: Callable[[str], None] = lambda _: None
    shares: int = 1024
    quota: int | None = None
    period: int = 100000

    def weigh(self, shares: int) -> None:
        self.before("limit shares")
        self.shares = shares

    def limit(self, quota: int | None, period: int | None = None) -> None:
        self.quota = quota if quota is not None else self.quota
        self.period = period if period is not None else self.period

    def held(self) -> tuple[int, int | None, int]:
        return self.shares, None if self.quota == -1 else self.quota, self.period

    def waited(self) -> int | None:
        return None


class FakeCpuTime:
    def use(self, *, summary: bool = False) -> CpuUse:
        return CpuUse(total=3_000, user=2_000, system=1_000, per_cpu=(2_500, 500))


@dataclass(slots=True)
class FakeIo:
    weight: int = 100
    limited: list[Any] = field(default_factory=list)

    def weigh(self, weight: int) -> None:
        self.weight = weight

    def limit(self, device: Any) -> None:
        self.limited.append(device)

    def held(self) -> tuple[int | None, tuple[Any, ...]]:
        return self.weight, tuple(self.limited)

    def use(self) -> tuple[DeviceUse, ...]:
        return (
            DeviceUse(major=8, minor=0, read_bytes=10, write_bytes=20, read_operations=1, write_operations=2),
            DeviceUse(major=8, minor=16, read_bytes=100, write_bytes=200, read_operations=10, write_operations=20),
        )


@dataclass(slots=True)
class FakeCpuSet:
    cpus: str = "0-1"
    nodes: str = "0"

    def pin_cpus(self, cpus: str) -> None:
        self.cpus = cpus or "0-1"

    def pin_memory_nodes(self, nodes: str) -> None:
        self.nodes = nodes or "0"

    def held(self) -> tuple[str, str]:
        return self.cpus, self.nodes


@dataclass(slots=True)
class FakeTasks:
    """most: how many there may be, as it was set."""

    most: int | None = None

    def limit(self, tasks: int) -> None:
        self.most = tasks

    def use(self) -> TaskUse:
        return TaskUse(current=3, limit=self.most, refused=0)


_FRESH: dict[str, str] = {
    "cpu.max.burst": "0",
    "cpu.idle": "0",
    "memory.zswap.max": "max",
    "memory.zswap.writeback": "1",
    "memory.oom.group": "0",
    "hugetlb.2MB.max": "max",
    "misc.max": "",
}


@dataclass(slots=True)
class FakeKeys:
    """The control files of a v2 group. texts: what they say; fresh: what those of a new group say.

    before: as FakeMemory has it.
    """

    before: Callable[[str], None] = lambda _: None
    texts: dict[str, str] = field(default_factory=dict)
    fresh: dict[str, str] = field(default_factory=lambda: dict(_FRESH))

    def is_old(self, controller: str) -> bool:
        return False

    def read(self, key: str) -> str:
        found = self.texts.get(key, self.fresh.get(key))
        if found is None:
            raise OSError(errno.EOPNOTSUPP, "no such control file", key)
        return found

    def write(self, key: str, value: str | None) -> None:
        self.before(f"limit {key}")
        former = self.read(key)
        self.texts[key] = self.fresh[key] if value is None else value
        if key == "misc.max":
            self.texts[key] = _flat_keyed(former, self.texts[key])


def _flat_keyed(former: str, line: str) -> str:
    """One line of a file that has one for each name takes the place of that name's."""
    lines = {each.split()[0]: each for each in (*former.splitlines(), line)}
    return "\n".join(lines.values())


class FakeGroup:
    """One group. before: called with what is about to change, and may raise what the kernel would.

    maker: the launch that it was made for; empty: ends all that is in the group at a path.
    """

    def __init__(
        self,
        path: str,
        *,
        before: Callable[[str], None],
        empty: Callable[[str], None],
        maker: str | None = None,
    ) -> None:
        self.hierarchies = Hierarchies()
        self.path = path
        self.maker = maker
        self.label: dict[str, Any] | None = None
        self.there = True
        self.frozen = False
        self.memory = FakeMemory(before=lambda what: before(f"{what} {path}"))
        self.cpu = FakeCpu(before=lambda what: before(f"{what} {path}"))
        self.cpu_time = FakeCpuTime()
        self.cpuset = FakeCpuSet()
        self.io = FakeIo()
        self.tasks = FakeTasks()
        self.keys = FakeKeys(before=lambda what: before(f"{what} {path}"))
        self.oom_kills = 0
        self.inside: list[int] = []
        """The pids of the processes in it."""
        self._before = before
        self._empty = empty
        self._thawed: list[Callable[[], None]] = []

    def exists(self) -> bool:
        return self.there

    def repeat_limits(self, names: Iterable[str]) -> None:
        """Nobody looks at what a guest sees."""

    def freeze(self) -> None:
        self._before(f"freeze {self.path}")
        self._require()
        self.frozen = True

    def thaw(self) -> None:
        self._before(f"thaw {self.path}")
        self.frozen = False
        waiting, self._thawed = self._thawed, []
        for work in waiting:
            work()

    def when_thawed(self, work: Callable[[], None]) -> None:
        """Have work done once it is not frozen any more."""
        self._thawed.append(work)

    def kill(self) -> None:
        """End every process in it. Raises: FileNotFoundError if it is gone."""
        self._before(f"kill {self.path}")
        self._require()
        self._empty(self.path)

    def exec_fd(self) -> int | None:
        """Return None: nothing is born into it by a descriptor."""
        return None

    def join_fds(self) -> list[int]:
        return []

    @property
    def scope(self) -> None:
        """Nothing of it lies in a file system."""

    def directory(self, controller: str) -> str | None:
        """Return None: nothing of it lies in a file system."""
        return None

    @property
    def directories(self) -> tuple[str, ...]:
        return (f"/sys/fs/cgroup/{self.path}",)

    def processes(self) -> list[int]:
        return list(self.inside)

    def guarantee_memory(self, memory: int) -> None:
        """Where the real one raises the groups above, this one remembers that it was asked to."""
        self.memory.guarantee(memory)

    def pressure(self, resource: str) -> Pressure | None:
        """Nobody counts that."""
        return None

    def limits(self) -> HeldLimits:
        memory, soft, guarantee, swap = self.memory.held()
        shares, quota, period = self.cpu.held()
        return HeldLimits(
            memory=memory,
            memory_soft=soft,
            memory_guarantee=guarantee,
            memory_and_swap=swap,
            cpu_shares=shares,
            cpu_quota=quota,
            cpu_period=period,
            cpus=self.cpuset.cpus,
            memory_nodes=self.cpuset.nodes,
            block_weight=self.io.weight,
            block_devices=tuple(self.io.limited),
            tasks=self.tasks.most,
            cpu_burst=furtherlimits.number(self.keys, furtherlimits.BURST),
            cpu_idle=bool(furtherlimits.number(self.keys, furtherlimits.IDLE)),
            zswap=furtherlimits.number(self.keys, furtherlimits.ZSWAP),
            zswap_writeback=bool(furtherlimits.number(self.keys, furtherlimits.ZSWAP_WRITEBACK)),
            huge_pages=self._huge_pages(),
            misc=furtherlimits.misc(self.keys),
        )

    def _huge_pages(self) -> tuple[HugePageLimit, ...]:
        limit = furtherlimits.huge_pages(self.keys, 2 << 20)
        return () if limit is None else (HugePageLimit(size=2 << 20, limit=limit),)

    def stats(self) -> Stats:
        return Stats(
            memory=self.memory.use(),
            cpu=self.cpu_time.use(),
            tasks=self.tasks.use(),
            devices=self.io.use(),
            oom_kills=0,
        )

    def _require(self) -> None:
        if not self.there:
            raise FileNotFoundError(2, "No such file or directory", self.path)
