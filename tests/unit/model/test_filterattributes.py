from ipaddress import ip_address

import pytest

from insula.model.filterattributes import (
    READERS,
    VARIABLE,
    FilterProtocol,
    check_value,
    read_ipv4_mask,
    read_ipv6_mask,
    read_mac,
    read_number,
    read_states,
    read_tcp_flags,
)


def test_every_protocol_has_its_values() -> None:
    assert READERS.keys() == set(FilterProtocol)


def test_numbers_are_decimal_or_hexadecimal_or_words() -> None:
    assert (read_number("16", 99), read_number("0x10", 99), read_number("ARP", 99, {"arp": 6})) == (16, 16, 6)
    for wrong in ("100", "-1", "1e1", "0b1", "", "x"):
        with pytest.raises(ValueError, match="expected a number from 0 to 99"):
            read_number(wrong, 99)


def test_masks_are_addresses_or_numbers_of_bits() -> None:
    assert read_ipv4_mask("24") == read_ipv4_mask("255.255.255.0") == ip_address("255.255.255.0")
    assert read_ipv6_mask("10") == read_ipv6_mask("FFC0::") == ip_address("ffc0::")


def test_addresses_of_cards_have_both_digits_and_small_letters() -> None:
    assert read_mac("1:2:3:A:B:C") == "01:02:03:0a:0b:0c"


def test_flags_and_states_are_lists_of_words() -> None:
    assert read_tcp_flags("SYN,ACK/SYN") == (("SYN", "ACK"), ("SYN",))
    assert read_tcp_flags("ALL/NONE")[1] == ()
    assert (read_states("NEW,ESTABLISHED"), read_states("NONE")) == (("NEW", "ESTABLISHED"), ())
    for wrong in ("SYN", "SYN/NOPE", "syn/syn"):
        with pytest.raises(ValueError, match="expected"):
            read_tcp_flags(wrong)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("$IP", ("IP", None, None)),
        ("$ IP ", ("IP", None, None)),
        ("$IP[2]", ("IP", None, "2")),
        ("$IP[@1]", ("IP", "@", "1")),
        ("$IP[ @3 ]", ("IP", "@", "3")),
    ],
)
def test_variables_may_have_an_index_or_an_iterator(text: str, parts: tuple[str, str | None, str | None]) -> None:
    found = VARIABLE.match(text)
    assert found is not None
    assert (found["name"], found["iterator"], found["index"]) == parts


def test_a_comment_is_any_text_and_every_value_may_be_a_variable() -> None:
    check_value(FilterProtocol.TCP, "comment", "$ anything [")
    for protocol, readers in READERS.items():
        for attribute in readers:
            check_value(protocol, attribute, "$X")
