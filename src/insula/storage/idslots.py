"""A search for free ids that goes on where the last one ended: a thousand ranges are one walk, not a thousand."""

from collections.abc import Callable, Collection, Iterator, Sequence

from insula.storage.idpools import SIZE


class SlotSearch:
    """Finds ranges of `SIZE` ids in pools that no taken range touches.

    begin: where in a pool of so many slots to begin; it goes around once.
    """

    def __init__(self, begin: Callable[[int], int]) -> None:
        self._begin = begin
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
            for number in range(count):
                slot = (first + number) % count
                if slot not in busy:
                    yield range(pool.start + slot * SIZE, pool.start + (slot + 1) * SIZE)


def _busy_slots(pool: range, taken: Collection[range]) -> frozenset[int]:
    """Return the slots of a pool that a taken range touches."""
    busy: set[int] = set()
    for each in taken:
        start, stop = max(pool.start, each.start), min(pool.stop, each.stop)
        if start < stop:
            busy.update(range((start - pool.start) // SIZE, (stop - 1 - pool.start) // SIZE + 1))
    return frozenset(busy)
