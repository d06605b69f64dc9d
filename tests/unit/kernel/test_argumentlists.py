import errno
import os

from hypothesis import given
from hypothesis import strategies as st

from insula.kernel.argumentlists import ArgumentList, compile_lists
from insula.kernel.seccomp import Condition, chained, number_on
from tests.unit.kernel.test_seccomp import COMPANION, NATIVE, answer

WORDS = st.one_of(st.integers(0, 70), st.integers(0, 2**64 - 1))
CONDITIONS = st.builds(
    Condition, argument=st.integers(0, 5), value=st.integers(0, 15), mask=st.sampled_from([0xF, 0xFFFFFFFF, 0xFFFFFFF7])
)
LISTS = st.lists(
    st.builds(
        ArgumentList,
        names=st.sampled_from([("socket",), ("socket", "socketpair"), ("setsockopt",)]),
        argument=st.integers(0, 5),
        values=st.lists(st.integers(0, 2**32 - 1), max_size=5).map(tuple),
        refusal=st.integers(1, 100),
        mask=st.sampled_from([0xF, 0xFFFFFFFF]),
        conditions=st.lists(CONDITIONS, max_size=2).map(tuple),
    ),
    max_size=6,
)
NUMBERS = {
    architecture: {name: number_on(architecture, name) for name in ("socket", "socketpair", "setsockopt", "read")}
    for architecture in (NATIVE, COMPANION)
}


def expected(lists: list[ArgumentList], name: str, arguments: list[int]) -> int | None:
    """What the first list says that refuses the call."""
    for each in lists:
        held = all(arguments[at.argument] & at.mask & 0xFFFFFFFF == at.value for at in each.conditions)
        if name in each.names and held and arguments[each.argument] & each.mask not in each.values:
            return each.refusal
    return None


@given(
    lists=LISTS,
    name=st.sampled_from(["socket", "socketpair", "setsockopt", "read"]),
    arguments=st.lists(WORDS, min_size=6, max_size=6),
    architecture=st.sampled_from([NATIVE, COMPANION]),
)
def test_a_program_answers_as_its_lists_say(
    lists: list[ArgumentList], name: str, arguments: list[int], architecture: int
) -> None:
    number = NUMBERS[architecture][name]
    assert number is not None
    program = compile_lists(lists)
    assert answer(program, number, *arguments, architecture=architecture) == expected(lists, name, arguments)
    assert answer(chained([program]), number, *arguments, architecture=0x12345678) is None


def test_calls_that_libseccomp_knows_as_parts_of_another_have_numbers_of_their_own() -> None:
    if os.uname().machine == "x86_64":
        assert [number_on(COMPANION, name) for name in ("socket", "socketpair", "setsockopt")] == [359, 360, 366]
    assert number_on(NATIVE, "rtas") is None


def test_a_list_without_values_refuses_whatever_its_conditions_hold_for() -> None:
    conditions = (Condition(argument=1, value=6), Condition(argument=2, value=31))
    only = ArgumentList(names=("setsockopt",), argument=2, values=(), refusal=errno.ENOENT, conditions=conditions)
    number = number_on(NATIVE, "setsockopt")
    assert number is not None
    program = compile_lists([only])
    assert answer(program, number, 3, 6, 31) == errno.ENOENT
    assert answer(program, number, 3, 6, 30) is None
