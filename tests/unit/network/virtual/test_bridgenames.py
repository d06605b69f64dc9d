"""Names of bridges, as libvirt chooses them."""

import pytest

from insula.errors import OperationFailedError
from insula.network.virtual.bridgenames import PATTERN, free_name, was_chosen


def test_the_lowest_number_is_taken_that_neither_a_network_nor_the_host_has() -> None:
    assert free_name(PATTERN, {}, lambda _: False) == "virbr0"
    assert free_name(PATTERN, {"virbr0", "virbr2"}, lambda name: name == "virbr1") == "virbr3"


def test_a_pattern_of_the_administrators_is_filled_in() -> None:
    assert free_name("lan%d", {"lan0"}, lambda _: False) == "lan1"


@pytest.mark.parametrize("pattern", ["br", PATTERN])
def test_what_has_no_free_name_is_refused(pattern: str) -> None:
    with pytest.raises(OperationFailedError, match="no name of the form"):
        free_name(pattern, (), lambda _: True)


def test_names_that_somebody_gave_are_not_taken_for_chosen_ones() -> None:
    assert [name for name in ("virbr0", "virbr12", "virbr", "virbr0x", "xvirbr0", "br0") if was_chosen(name)] == [
        "virbr0",
        "virbr12",
    ]
