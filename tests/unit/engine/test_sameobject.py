"""A key that is found again by the very same value alone."""

from functools import lru_cache

from insula.engine.sameobject import SameObject
from tests.plans import BUSYBOX, DEBIAN, PRIVILEGED


def test_only_the_very_same_value_is_found_again() -> None:
    made: list[str] = []

    @lru_cache(2)
    def make(key: SameObject[list[int]]) -> int:
        made.append(str(key.value))
        return len(key.value)

    first, equal = [1], [1]
    assert first == equal
    assert [make(SameObject(first)), make(SameObject(equal)), make(SameObject(first))] == [1, 1, 1]
    assert made == ["[1]", "[1]"]


def test_no_two_values_that_are_kept_are_taken_for_each_other() -> None:
    specs = (BUSYBOX, DEBIAN, PRIVILEGED)
    assert len({SameObject(each) for each in (*specs, *specs)}) == len(specs)
    assert SameObject(BUSYBOX) != BUSYBOX
