"""Lists and masks of processors, as the kernel writes them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insula.view.processorlists import kept_in_list, kept_in_mask, list_text, listed
from tests.examples import FEW, examples

NUMBERS = st.sets(st.integers(min_value=0, max_value=255))


@settings(max_examples=examples(FEW))
@given(NUMBERS)
def test_a_list_says_the_numbers_that_it_was_made_of(numbers: set[int]) -> None:
    assert listed(list_text(tuple(sorted(numbers)))) == tuple(sorted(numbers))


@pytest.mark.parametrize(("text", "numbers"), [("", ()), ("0", (0,)), ("0-2,5", (0, 1, 2, 5)), ("7,3\n", (3, 7))])
def test_lists_of_the_kernels_are_read(text: str, numbers: tuple[int, ...]) -> None:
    assert listed(text) == numbers


def test_only_what_is_kept_stays_in_a_list() -> None:
    assert kept_in_list("0-7", {1, 2, 5, 9}) == "1-2,5"


@pytest.mark.parametrize(
    ("mask", "kept", "left"),
    [("3", {1}, "2"), ("ff", {0, 7}, "81"), ("ffff,ffffffff", {0, 33}, "0002,00000001"), ("3\n", set(), "0")],
)
def test_only_what_is_kept_stays_in_a_mask_of_the_same_width(mask: str, kept: set[int], left: str) -> None:
    assert kept_in_mask(mask, kept) == left


def test_what_is_no_mask_is_refused() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        kept_in_mask("none", {1})
