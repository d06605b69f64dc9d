import gc

import pytest

from insula.errors import RpcError
from insula.rpc.notation import record
from insula.rpc.packedlist import PackedList

PARAMETERS = record("params:P<3>")
ONE, TWO, THREE = (("state.state", 1, number) for number in (1, 2, 3))


def test_members_that_come_a_few_at_a_time_are_sent_as_one_list() -> None:
    growing = PackedList(PARAMETERS.pack)
    growing.add([ONE, TWO])
    growing.add([])
    growing.add([THREE])
    whole = PARAMETERS.pack(([ONE, TWO, THREE],))
    assert (PARAMETERS.pack((growing,)), len(growing), growing.size) == (whole, 3, len(whole) - 4)


def test_more_members_than_the_list_may_have_are_refused_though_each_part_is_short_enough() -> None:
    growing = PackedList(PARAMETERS.pack)
    growing.add([ONE, TWO])
    growing.add([THREE, ONE])
    with pytest.raises(RpcError, match="4 members in a list of at most 3"):
        PARAMETERS.pack((growing,))


def test_what_is_packed_is_nothing_that_the_search_for_garbage_looks_at() -> None:
    growing = PackedList(PARAMETERS.pack)
    growing.add([ONE])
    before = len(gc.get_objects())
    for _ in range(1000):
        growing.add([ONE, TWO])
    assert len(gc.get_objects()) - before < 100
