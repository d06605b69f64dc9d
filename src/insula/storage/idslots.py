"""A search for free ids that goes on where the last one ended: a thousand ranges are one walk, not a thousand."""

import itertools
from collections.abc import Callable, Collection, Iterator, Sequence

from insula.storage.idpools import SIZE


class SlotSearch:
    """Finds ranges of so many times `SIZE` ids in pools that no taken range touches.

    begin: where in a pool of so many slots to begin; it goes around once. width: slots of a range.
    """

    def __init__(self, begin: Callable[[int], int], width: int = 1) -> None:
        self._begin = begin
        self._width = width
        self._seen: object = None
        self._rest: Iterator[range] = iter(())

    def resume(self, seen: object, pools: Sequence[range], taken: Callable[[], Collection[range]]) -> Iterator[range]:
        """Return the free ranges that no search has returned yet since `seen` became what it is.

        seen: all that pools and taken come from, but for what was returned before. taken is asked only if that is new.
        """
        if self._seen is None or seen != self._seen:
            self._rest = self._free(pools, taken())
        self._seen = None  # unless `keep` says that what is returned now is given out
        return self._rest

    def keep(self, seen: object) -> None:
        """Let the next search go on from here: `seen` is what it is now because of the last range that was returned."""
        self._seen = seen

    def _free(self, pools: Sequence[range], taken: Collection[range]) -> Iterator[range]:
        for pool in pools:
            count = len(pool) // SIZE
            busy = _busy_slots(pool, taken)
            first = self._begin(count)
            for slot in itertools.chain(self._starts(busy, first, count), self._starts(busy, 0, first)):
                yield range(pool.start + slot * SIZE, pool.start + (slot + self._width) * SIZE)

    def _starts(self, busy: frozenset[int], begin: int, end: int) -> Iterator[int]:
        """Yield where free ranges begin, none of which touches another, nor what lies outside."""
        slot = begin
        while slot + self._width <= end:
            if busy.isdisjoint(range(slot, slot + self._width)):
                yield slot
                slot += self._width
            else:
                slot += 1


def _busy_slots(pool: range, taken: Collection[range]) -> frozenset[int]:
    """Return the slots of a pool that a taken range touches."""
    busy: set[int] = set()
    for each in taken:
        start, stop = max(pool.start, each.start), min(pool.stop, each.stop)
        if start < stop:
            busy.update(range((start - pool.start) // SIZE, (stop - 1 - pool.start) // SIZE + 1))
    return frozenset(busy)
