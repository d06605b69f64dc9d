"""In which order domains start and stop that need each other, or have places: pure.

What is ordered are nodes: domains by their names, and `StartStage`s between those of one group. A stage is reached once
the domains before it have come as far as they will; nobody of a later place starts before.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import groupby, pairwise

from insula.model.bootorder import StartPlace
from insula.model.domain import DomainDefinition


@dataclass(frozen=True, kw_only=True, slots=True)
class StartStage:
    """The moment after the domains of a group that have this order; None for those that come last."""

    group: str
    order: int


NOWHERE = StartPlace()
"""The place of a domain that has none: the last, and nobody waits for it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderedDomain:
    """What matters of a domain. needs: the names of those that are to be up before, known or not."""

    name: str
    needs: tuple[str, ...] = ()
    place: StartPlace = NOWHERE

    @property
    def group(self) -> str:
        return self.place.group or ""


def needs_in(domain: DomainDefinition) -> tuple[str, ...]:
    """Return the names of the domains that are to be up before one."""
    return tuple(each.domain for each in domain.settings.depends_on)


Node = str | StartStage
Before = dict[Node, set[Node]]
"""By each node, those that come before it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StartOrder:
    """before: by each node those that come before it, without any cycle; cycles: domains that need each other, each
    cycle once, its first name again at its end: who stands in one has no one before him."""

    before: Mapping[Node, Collection[Node]]
    cycles: tuple[tuple[str, ...], ...]

    def sorter(self) -> TopologicalSorter[Node]:
        """Return what gives out each node once those before it are done."""
        sorter = TopologicalSorter(self.before)
        sorter.prepare()
        return sorter

    @property
    def in_cycle(self) -> Mapping[str, tuple[str, ...]]:
        """The cycle that a domain stands in, by its name."""
        return {name: cycle for cycle in self.cycles for name in cycle}


def start_order(domains: Collection[OrderedDomain], *, placed: bool = True) -> StartOrder:
    """Return the order in which domains start. placed: their places count, and not only who needs whom.

    Who is needed comes first, whatever the places say: then that stage does not wait for who needs a later one.
    """
    known = {each.name for each in domains}
    before: Before = {each.name: {*known.intersection(each.needs)} for each in domains}
    cycles = []
    while (found := _cycle(before)) is not None:
        names = tuple(map(str, found))
        cycles.append(names)
        for name in names:
            before[name] = set()
    if placed:
        _add_stages(before, domains)
        while (contradiction := _cycle(before)) is not None:
            for node, later in pairwise(contradiction):
                if isinstance(later, StartStage) and isinstance(node, str):
                    before[later].discard(node)
    return StartOrder(before=before, cycles=tuple(cycles))


def cycle_through(name: str, needs: Collection[str], needs_of: Callable[[str], Collection[str]]) -> tuple[str, ...]:
    """Return how a domain with these needs would depend on itself, from itself to itself; empty if it would not.

    needs_of: of any other domain, known or not.
    """
    ways: list[tuple[str, ...]] = [(name, need) for need in needs]
    seen = set[str]()
    while ways:
        way = ways.pop()
        last = way[-1]
        if last == name:
            return way
        if last not in seen:
            seen.add(last)
            ways += [(*way, need) for need in needs_of(last)]
    return ()


def stop_stages(domains: Collection[OrderedDomain]) -> tuple[tuple[str, ...], ...]:
    """Return the names of domains in the order in which they stop: those of one stage at the same time.

    The reverse of a start: nobody stops before those that need him, nor before those of his group that start later.
    """
    order = start_order(domains)
    after: Before = {node: set() for node in order.before}
    for node, earlier in order.before.items():
        for each in earlier:
            after[each].add(node)
    sorter = TopologicalSorter(after)
    sorter.prepare()
    return tuple(_stages(sorter))


def _stages(sorter: TopologicalSorter[Node]) -> Iterator[tuple[str, ...]]:
    while sorter.is_active():
        ready = sorter.get_ready()
        while any(isinstance(each, StartStage) for each in ready):  # they take no time
            sorter.done(*(each for each in ready if isinstance(each, StartStage)))
            ready = (*(each for each in ready if isinstance(each, str)), *sorter.get_ready())
        yield tuple(sorted(each for each in ready if isinstance(each, str)))
        sorter.done(*ready)


def _add_stages(before: Before, domains: Collection[OrderedDomain]) -> None:
    for group, members in groupby(sorted(domains, key=_key), lambda each: each.group):
        reached: StartStage | None = None
        for order, same in groupby(members, lambda each: each.place.order):
            names = [each.name for each in same]
            if reached is not None:
                for name in names:
                    before[name].add(reached)
            if order is not None:
                stage = StartStage(group=group, order=order)
                before[stage] = {*names} if reached is None else {*names, reached}
                reached = stage


def _key(domain: OrderedDomain) -> tuple[str, bool, int, str]:
    order = domain.place.order
    return domain.group, order is None, order or 0, domain.name


def _cycle(before: Before) -> tuple[Node, ...] | None:
    """Return nodes of which each comes before the next, the first one again at the end; None if there are none."""
    try:
        TopologicalSorter(before).prepare()
    except CycleError as error:
        return tuple(error.args[1])
    return None
