"""Where guests' virtual processors are: one processor of the host each, its *seat*. Pure: from claims to seats.

A guest that comes takes the least used processors that it may have, of as few NUMA nodes as can be, each of another
core as long as there are cores. When guests go, as few as possible of the others' seats move, until no processor of a
node has two more than another. Whole guests change their node only where nodes differ by more than a seat a processor,
since their memory stays behind. Nobody is measured: a seat counts the same whether it is used or not, so that what a
guest does moves nobody else.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from heapq import heapify, heappop, heapreplace
from itertools import count, islice, repeat
from typing import Generic, TypeVar

from insula.model.sizes import format_cpuset, parse_cpuset
from insula.service.topology import Topology

K = TypeVar("K")
Load = Mapping[int, int]
"""How many seats are on each processor."""
Cpus = AbstractSet[int]


class NoSeatError(ValueError):
    """None of the processors that are named is there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pin:
    """Where one virtual processor may be, a list such as `0-3`."""

    vcpu: int
    cpus: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """What a domain is to have of the host's processors; plain values, so that it survives JSON.

    free: how many virtual processors have no pin of their own; allowed: where those may be, None: anywhere; nodes: of
    the guest's memory, near which they had better be; whole: it is not held to a number, and has all where any of them
    may be.
    """

    free: int
    pins: tuple[Pin, ...] = ()
    allowed: str | None = None
    nodes: str | None = None
    whole: bool = False

    @property
    def number(self) -> int:
        """How many virtual processors there are."""
        return self.free + len(self.pins)

    def within(self, cpus: Cpus) -> "Claim":
        """Return the claim of one that may use these processors only."""
        allowed = cpus if self.allowed is None else parse_cpuset(self.allowed) & cpus
        pins = tuple(replace(each, cpus=format_cpuset(parse_cpuset(each.cpus) & cpus)) for each in self.pins)
        return replace(self, allowed=format_cpuset(allowed), pins=pins)


@dataclass(frozen=True, kw_only=True, slots=True)
class Seated:
    """One guest: what it claims, and the processors that it has."""

    claim: Claim
    cpus: frozenset[int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Processors:
    """The host's processors that are online. node_of, core_of: of each; nodes: the processors of each."""

    node_of: Mapping[int, int]
    core_of: Mapping[int, int]
    nodes: Mapping[int, frozenset[int]] = field(init=False)
    online: frozenset[int] = field(init=False)

    def __post_init__(self) -> None:
        nodes = {
            node: frozenset(cpu for cpu, its in self.node_of.items() if its == node)
            for node in sorted(set(self.node_of.values()))
        }
        object.__setattr__(self, "nodes", nodes)
        object.__setattr__(self, "online", frozenset(self.node_of))

    @classmethod
    def of(cls, topology: Topology) -> "Processors":
        return cls(
            node_of={each.number: each.node for each in topology.cpus},
            core_of={each.number: min(each.siblings) for each in topology.cpus},
        )

    @classmethod
    def bare(cls, cpus: Cpus) -> "Processors":
        """Return processors of which nothing is to be known."""
        return cls(node_of=dict.fromkeys(cpus, 0), core_of={each: each for each in cpus})

    def core_load(self, load: Load) -> Counter[int]:
        """Return how many seats are on each core."""
        cores = Counter(dict.fromkeys(self.core_of.values(), 0))
        for cpu, core in self.core_of.items():
            if cpu in load:
                cores[core] += load[cpu]
        return cores

    def there(self, cpus: str) -> frozenset[int]:
        """Return those of a list that are online. Raises: NoSeatError if there is none."""
        found = self.online & parse_cpuset(cpus) if cpus else frozenset()
        if not found:
            raise NoSeatError(f"none of the processors '{cpus}' is there for it")
        return frozenset(found)

    def free_places(self, claim: Claim) -> frozenset[int]:
        """Return where a virtual processor without a pin may be. Raises: NoSeatError."""
        return self.online if claim.allowed is None else self.there(claim.allowed)


def load_of(seated: Mapping[K, Seated], *, but: K | None = None) -> Counter[int]:
    """Return how many seats are on each processor, of all guests but one."""
    load: Counter[int] = Counter()
    for key, each in seated.items():
        if key != but:
            load.update(each.cpus)
    return load


def seats(host: Processors, load: Load, claim: Claim, *, held: Cpus = frozenset()) -> frozenset[int]:
    """Return the processors that a guest is to have.

    Fewer than it has virtual ones where there are no more, or where pins lie on each other. load: of the others; held:
    what it has now, of which as much stays as can. Raises: NoSeatError.
    """
    if claim.whole:
        anywhere = [host.there(each.cpus) for each in claim.pins]
        if claim.free or not anywhere:
            anywhere.append(host.free_places(claim))
        return frozenset().union(*anywhere)
    pinned = frozenset(_matched(host, load, claim, (), held).values())
    if not claim.free:
        return pinned
    rest = host.free_places(claim) - pinned
    free = rest if claim.free >= len(rest) else _spread(host, load, claim, rest, pinned, held)
    if pinned and len(free) < claim.free:  # pins took what others need more
        return frozenset(_matched(host, load, claim, _unpinned(claim), held).values())
    return pinned | free


def places(host: Processors, claim: Claim, vcpus: Sequence[int], cpus: Cpus) -> dict[int, int]:
    """Return on which of a guest's processors each virtual one is; those that have none of their own are left out.

    vcpus: the numbers of those in use.
    """
    pins = {each.vcpu for each in claim.pins}
    unpinned = tuple(each for each in vcpus if each not in pins)
    if not pins:
        return dict(zip(unpinned, sorted(cpus), strict=False))
    return _matched(host, {}, claim, unpinned, cpus, only=cpus)


def moves(host: Processors, seated: Mapping[K, Seated]) -> dict[K, frozenset[int]]:
    """Return what guests are to have instead of what they have, those alone for whom that is another thing.

    One whose claim cannot be met any more, as all its processors are offline, stays as it is.
    """
    now = {key: Seated(claim=each.claim, cpus=_kept(host, seated, key)) for key, each in seated.items()}
    board = _Board(host, now)
    board.level()
    return {key: cpus for key, cpus in board.cpus.items() if cpus != seated[key].cpus}


def _kept(host: Processors, seated: Mapping[K, Seated], key: K) -> frozenset[int]:
    """What a guest has, or what it is to have where that is not what it claims (any more)."""
    each = seated[key]
    try:
        if each.claim.whole or not _fits(host, each.claim, each.cpus):
            return seats(host, load_of(seated, but=key), each.claim, held=each.cpus)
    except NoSeatError:
        pass
    return each.cpus


def _fits(host: Processors, claim: Claim, cpus: frozenset[int]) -> bool:
    """Whether processors are what a guest claims. Raises: NoSeatError if it can have none."""
    if not claim.pins:
        free = host.free_places(claim)
        return cpus <= free and len(cpus) == min(claim.free, len(free))
    vcpus = _unpinned(claim)
    there = len(_matched(host, {}, claim, vcpus, cpus, only=cpus))
    return there == len(cpus) == len(_matched(host, {}, claim, vcpus, cpus))


def _unpinned(claim: Claim) -> tuple[int, ...]:
    """Return as many numbers as there are virtual processors without a pin."""
    pins = {each.vcpu for each in claim.pins}
    return tuple(islice((number for number in count() if number not in pins), claim.free))


def _matched(
    host: Processors, load: Load, claim: Claim, unpinned: Sequence[int], held: Cpus, *, only: Cpus | None = None
) -> dict[int, int]:
    """Return a processor of its own for as many virtual ones as can have one (Kuhn's matching): pinned ones, and these.

    only: where they must be. Raises: NoSeatError if one has no place at all.
    """
    where = {each.vcpu: host.there(each.cpus) for each in claim.pins}
    where |= dict.fromkeys(unpinned, host.free_places(claim) if unpinned else frozenset())
    wished = {
        vcpu: sorted(cpus if only is None else cpus & only, key=lambda cpu: (cpu not in held, load.get(cpu, 0), cpu))
        for vcpu, cpus in where.items()
    }
    owner: dict[int, int] = {}

    def place(vcpu: int, tried: set[int]) -> bool:
        for cpu in wished[vcpu]:
            if cpu not in tried:
                tried.add(cpu)
                if cpu not in owner or place(owner[cpu], tried):
                    owner[cpu] = vcpu
                    return True
        return False

    for vcpu in wished:
        place(vcpu, set())
    return {vcpu: cpu for cpu, vcpu in owner.items()}


def _spread(host: Processors, load: Load, claim: Claim, places: Cpus, pinned: Cpus, held: Cpus) -> frozenset[int]:
    """Return as many of these places as the claim has free virtual processors; there are more than that."""
    cores = host.core_load(load)
    for cpu in pinned:
        cores[host.core_of[cpu]] += 1
    chosen: set[int] = set()

    def take(pool: Cpus, number: int) -> None:
        best = [(load.get(cpu, 0), cores[host.core_of[cpu]], cpu) for cpu in pool]
        heapify(best)
        for _ in range(min(number, len(best))):
            # The other threads of a core that was taken since stand too early.
            while (core_load := cores[host.core_of[best[0][2]]]) != best[0][1]:
                heapreplace(best, (best[0][0], core_load, best[0][2]))
            cpu = heappop(best)[2]
            chosen.add(cpu)
            cores[host.core_of[cpu]] += 1

    take(places & held, claim.free)
    missing = claim.free - len(chosen)
    if missing:
        take(_pool(host, load, claim, places - chosen, missing, pinned | chosen), missing)
    return frozenset(chosen)


def _pool(host: Processors, load: Load, claim: Claim, places: Cpus, number: int, near: Cpus) -> frozenset[int]:
    """Return the places of one node that has so many, or of as few nodes as have them together.

    near: what the guest has already.
    """
    memory = host.online if claim.nodes is None else parse_cpuset(claim.nodes)
    rooms = {node: cpus & places for node, cpus in host.nodes.items() if cpus & places}

    def order(node: int) -> tuple[bool, int, float, int]:
        used = sum(map(load.get, host.nodes[node], repeat(0))) / len(host.nodes[node])
        far = claim.nodes is not None and node not in memory
        return far, -len(near & host.nodes[node]), used, node

    ranks = sorted(map(order, rooms))
    ordered = [rank[-1] for rank in ranks]
    for far, *_, node in ranks:
        if len(rooms[node]) >= number and (not far or ranks[0][0]):
            return rooms[node]
    pool: frozenset[int] = frozenset()
    for node in ordered:
        pool |= rooms[node]
        if len(pool) >= number:
            break
    return pool


class _Board(Generic[K]):
    """Guests on the host's processors, while seats are moved. Every move makes the loads less uneven, so it ends."""

    def __init__(self, host: Processors, seated: Mapping[K, Seated]) -> None:
        self._host = host
        self._claims = {key: each.claim for key, each in seated.items() if _is_movable(host, each.claim)}
        self.cpus: dict[K, frozenset[int]] = {key: each.cpus for key, each in seated.items()}
        self._load: Counter[int] = load_of(seated)
        self._cores = host.core_load(self._load)
        self._guests: defaultdict[int, set[K]] = defaultdict(set)
        for key in self._claims:
            for cpu in self.cpus[key]:
                self._guests[cpu].add(key)

    def level(self) -> None:
        """Move seats, then guests between nodes, until nothing is gained any more."""
        while True:
            for node in self._host.nodes.values():
                while self._moved_seat(node):
                    pass
            if not self._moved_guest():
                return

    def _moved_seat(self, node: frozenset[int]) -> bool:
        """Move the one seat by whose move most is gained; return whether there is any."""
        load, cores, core_of = self._load, self._cores, self._host.core_of
        used = sorted(node, key=lambda cpu: (load[cpu], cores[core_of[cpu]], cpu))
        for source in reversed(used):
            for target in used:
                gain = load[source] - load[target]
                if gain < 1:
                    break
                if gain == 1 and cores[core_of[source]] - cores[core_of[target]] <= 1:
                    continue
                for key in self._guests[source]:
                    after = self.cpus[key] - {source} | {target}
                    if target not in self.cpus[key] and _fits(self._host, self._claims[key], after):
                        self._put(key, after)
                        return True
        return False

    def _moved_guest(self) -> bool:
        """Let one guest change its node, the smallest that makes them less uneven."""
        for full, empty in self._uneven():
            for key in sorted(self._claims, key=lambda key: len(self.cpus[key])):
                cpus, claim = self.cpus[key], self._claims[key]
                if claim.pins or claim.nodes is not None or not cpus <= self._host.nodes[full]:
                    continue
                gained = self._use(full) - self._use(empty) - len(cpus) / len(self._host.nodes[empty])
                places = self._host.free_places(claim) & self._host.nodes[empty]
                if gained > 0 and claim.free <= len(places):
                    others = self._load.copy()
                    others.subtract(cpus)
                    self._put(key, _spread(self._host, others, claim, places, frozenset(), frozenset()))
                    return True
        return False

    def _uneven(self) -> Iterator[tuple[int, int]]:
        """Yield pairs of nodes that differ by more than a seat a processor, the most uneven first."""
        order = sorted(self._host.nodes, key=self._use)
        for full in reversed(order):
            for empty in order:
                if self._use(full) - self._use(empty) > 1:
                    yield full, empty

    def _use(self, node: int) -> float:
        """Seats a processor."""
        cpus = self._host.nodes[node]
        return sum(self._load[cpu] for cpu in cpus) / len(cpus)

    def _put(self, key: K, cpus: frozenset[int]) -> None:
        before = self.cpus[key]
        self._load.subtract(before)
        self._load.update(cpus)
        for cpu in before - cpus:
            self._guests[cpu].discard(key)
        for cpu in cpus - before:
            self._guests[cpu].add(key)
        self.cpus[key] = cpus
        self._cores = self._host.core_load(self._load)


def _is_movable(host: Processors, claim: Claim) -> bool:
    """Whether a guest could have other processors than it has; not one that has all it may have, or none of them."""
    try:
        if claim.whole:
            return False
        # All are looked at: one that has no place keeps the others from being moved.
        choices = [len(host.there(each.cpus)) - 1 for each in claim.pins]
        choices += [len(host.free_places(claim)) - claim.free] if claim.free else []
        return max(choices, default=0) > 0
    except NoSeatError:
        return False
