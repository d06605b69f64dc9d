"""The service's nouns and the wire's."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula.daemon.wire import (
    STRING_OKAY,
    counted,
    cpu_bits,
    cpu_maps,
    parameters_from_wire,
    shown,
    text,
    to_wire,
    wanted,
)
from insula.errors import InvalidArgumentError
from insula.model.numbers import ParameterType
from insula.rpc import wiretypes
from insula.service.events import DomainIdentity
from insula.service.parameters import Parameter

NUMBER = Parameter("n", ParameterType.UINT, 5)
WORD = Parameter("w", ParameterType.STRING, "x")


@given(st.text(max_size=20), st.uuids(), st.integers(-1, 2**22))
def test_a_domains_reference_travels_with_all_it_has(name: str, uuid: UUID, number: int) -> None:
    assert to_wire(DomainIdentity(name=name, uuid=uuid, id=number)) == wiretypes.DomainRef(name, uuid.bytes, number)


def test_typed_parameters_keep_name_kind_and_value() -> None:
    parameters = [
        wiretypes.TypedParameter("n", ParameterType.UINT, 5),
        wiretypes.TypedParameter("w", ParameterType.STRING, "x"),
    ]
    assert parameters_from_wire(parameters) == [NUMBER, WORD]


def test_old_clients_are_not_shown_texts() -> None:
    assert shown([NUMBER, WORD], 0) == [NUMBER]
    assert shown([NUMBER, WORD], STRING_OKAY) == [NUMBER, WORD]


def test_the_two_call_idiom() -> None:
    assert counted("abc", 0) == ((), 3)
    assert counted("abc", 2) == ("ab", 2)
    assert counted("abc", 9) == ("abc", 3)
    with pytest.raises(InvalidArgumentError):
        counted("abc", -1)


def test_a_list_or_just_its_length() -> None:
    assert wanted("abc", 1) == ("abc", 3)
    assert wanted("abc", 0) == ((), 3)


@given(st.sets(st.integers(0, 40)), st.integers(0, 6))
def test_a_cpu_map_has_the_bits_that_fit(cpus: set[int], length: int) -> None:
    bits = cpu_bits(cpus, length)
    assert len(bits) == length
    assert {cpu for cpu in range(length * 8) if bits[cpu // 8] >> (cpu % 8) & 1} == {
        each for each in cpus if each < length * 8
    }


def test_the_maps_of_several_sets_stand_behind_each_other() -> None:
    few, many = frozenset({0}), frozenset({1, 8})
    assert cpu_maps([few, many, few], 2) == b"\x01\0\x02\x01\x01\0"


def test_texts_in_character_arrays_end_with_a_zero_because_clients_copy_up_to_it() -> None:
    assert text("none") == b"none\0"
