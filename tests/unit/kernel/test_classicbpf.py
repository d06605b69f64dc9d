import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula.kernel.classicbpf import INSTRUCTION, MOST_INSTRUCTIONS, Assembler, Compare, Place
from tests.callfilters import ALLOW, ERRNO, answer

NUMBER = 0


def returned(refusal: int) -> int:
    return ERRNO | refusal


def test_an_answer_in_reach_is_not_repeated() -> None:
    program = Assembler()
    assert program.answer(ALLOW) == program.answer(ALLOW)
    assert program.answer(returned(1)) != program.answer(ALLOW)
    assert len(program) == 2


def test_a_test_whose_ways_are_the_same_is_none() -> None:
    program = Assembler()
    only = program.answer(ALLOW)
    assert program.test(Compare.EQUAL, 7, only, only) == only
    assert len(program) == 1


def test_what_does_not_follow_is_jumped_to() -> None:
    program = Assembler()
    last = program.answer(returned(9))
    program.answer(ALLOW)
    program.load(NUMBER, last)
    assert answer(program.program(), 0) == 9


@given(st.lists(st.integers(1, 200), min_size=1, max_size=600))
def test_a_place_is_reached_from_however_far(refusals: list[int]) -> None:
    program = Assembler()
    place: Place = program.answer(ALLOW)
    first = place
    for number, refusal in enumerate(refusals):
        # Each goes on to the one before, to a new answer, or to the very end.
        there = first if refusal % 7 == 0 else program.answer(returned(refusal))
        place = program.test(Compare.EQUAL, number, there, place)
    program.load(NUMBER, place)
    code = program.program()
    for number, refusal in enumerate(refusals):
        assert answer(code, number) == (None if refusal % 7 == 0 else refusal)
    assert answer(code, len(refusals)) is None


def test_comparisons_know_no_sign() -> None:
    program = Assembler()
    program.load(NUMBER, program.test(Compare.AT_LEAST, 1 << 31, program.answer(returned(1)), program.answer(ALLOW)))
    assert [answer(program.program(), number) for number in (0, (1 << 31) - 1, 1 << 31, -1)] == [None, None, 1, 1]


def test_a_masked_word_is_compared_by_what_is_left() -> None:
    program = Assembler()
    seven = program.test(Compare.EQUAL, 7, program.answer(returned(1)), program.answer(ALLOW))
    program.load(NUMBER, program.mask(0xF, seven))
    assert [answer(program.program(), number) for number in (7, 0x17, 8)] == [1, 1, None]


def test_a_program_that_the_kernel_would_refuse_for_its_length_is_none() -> None:
    program = Assembler()
    place = program.answer(ALLOW)
    for number in range(MOST_INSTRUCTIONS - 1):
        place = program.test(Compare.EQUAL, number, program.answer(returned(number % 2 + 1)), place)
    with pytest.raises(ValueError, match="instructions are more than a filter may have"):
        program.program()


def test_instructions_are_eight_bytes() -> None:
    program = Assembler()
    program.answer(ALLOW)
    assert program.program() == INSTRUCTION.pack(0x06, 0, 0, ALLOW)
