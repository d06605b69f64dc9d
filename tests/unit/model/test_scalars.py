from enum import StrEnum
from ipaddress import ip_address
from pathlib import PurePosixPath
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula.model.scalars import (
    SCALARS,
    read_any_base,
    read_domain_name,
    read_file_mode,
    read_integer,
    read_ip_address,
    read_mac_address,
    read_path,
    read_uuid,
    scalar_of_enum,
    scalar_of_range,
)
from tests.unit.model.strategies import BY_TYPE


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


def test_an_enum_is_read_by_its_value_and_names_its_members_when_it_cannot() -> None:
    scalar = scalar_of_enum(Colour)
    assert scalar.read("red") is Colour.RED
    assert scalar.write(Colour.BLUE) == "blue"
    assert scalar.expected == "one of 'red', 'blue'"
    with pytest.raises(ValueError, match="not one of red, blue"):
        scalar.read("RED")


def test_a_range_includes_both_its_ends() -> None:
    scalar = scalar_of_range(-1, 5)
    assert [scalar.read(text) for text in ("-1", "0", "5")] == [-1, 0, 5]
    for text in ("-2", "6"):
        with pytest.raises(ValueError, match="out of range"):
            scalar.read(text)


@pytest.mark.parametrize("text", ["", "1_000", "+1", "1.0", "0x10", "ten", "-1", "١", "1 2", "9" * 21])
def test_a_number_is_plain_digits(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_integer(text)


def test_white_space_around_a_number_is_nothing() -> None:
    assert read_integer("\n 42\t") == 42


@pytest.mark.parametrize("text", ["web", "web 2", "instance-0000002a", "Zürich", "a.b", "x" * 64, "-dash"])
def test_a_domain_can_be_called(text: str) -> None:
    assert read_domain_name(text) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "  ", ".", "..", ".hidden", "a/b", "a\nb", "a\0b", "x" * 65, "\x7f", "\ud800"),
        *(
            "a\u0085b",
            "a\u202eb",
            "a\u2028b",
            "a\u2029b",
            "a\u200bb",
            "a\u00a0b",
            "a\u00adb",
            "a\ufeffb",
            "a\U0010ffff",
        ),
        "\U0001f600" * 64,
    ],
)
def test_a_domain_cannot_be_called(text: str) -> None:
    with pytest.raises(ValueError, match="cannot name a domain"):
        read_domain_name(text)


@pytest.mark.parametrize(
    "text",
    ["8dfd44b31e76d8d335150a2d98211ea0", "8DFD44B3-1e76-d8d3-3515-0a2d98211ea0", " 8dfd44b31e76d8d335150a2d98211ea0 "],
)
def test_a_uuid_is_read_with_and_without_hyphens(text: str) -> None:
    assert read_uuid(text) == UUID("8dfd44b3-1e76-d8d3-3515-0a2d98211ea0")


@pytest.mark.parametrize(
    "text", ["", "8dfd44b3", "{8dfd44b3-1e76-d8d3-3515-0a2d98211ea0}", "g" * 32, "urn:uuid:" + "0" * 32]
)
def test_what_is_no_uuid_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a UUID"):
        read_uuid(text)


def test_a_mac_address_is_lower_case_and_of_one_station() -> None:
    assert read_mac_address("52:54:00:AA:bb:0C") == "52:54:00:aa:bb:0c"
    for text in ("53:54:00:aa:bb:0c", "52:54:00:aa:bb", "52-54-00-aa-bb-0c", "52:54:00:aa:bb:0g", ""):
        with pytest.raises(ValueError, match="MAC address"):
            read_mac_address(text)


def test_a_path_is_absolute_and_loses_needless_slashes() -> None:
    assert read_path("/etc/") == PurePosixPath("/etc")
    assert str(read_path("//srv//web")) == "/srv/web"
    for text in ("", "etc", "./etc", "/a\0b"):
        with pytest.raises(ValueError, match="not an absolute path"):
            read_path(text)


def test_an_address_has_no_scope() -> None:
    assert read_ip_address("2001:DB8::1") == ip_address("2001:db8::1")
    for text in ("fe80::1%eth0", "192.0.2.256", "192.0.2.1/24", ""):
        with pytest.raises(ValueError, match=r"."):
            read_ip_address(text)


@pytest.mark.parametrize(("text", "number"), [("0x1d", 29), ("035", 29), ("29", 29), ("0", 0), ("0XFFFF", 0xFFFF)])
def test_a_bus_number_may_be_in_any_base_that_c_knows(text: str, number: int) -> None:
    assert read_any_base(text) == number


@pytest.mark.parametrize("text", ["", "x", "0x", "0x10000", "65536", "-1", "1e3"])
def test_what_is_no_bus_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_any_base(text)


def test_a_file_mode_is_octal() -> None:
    assert read_file_mode("644") == read_file_mode("0644") == 0o644
    for text in ("888", "rw-", "", "00644"):
        with pytest.raises(ValueError, match="octal"):
            read_file_mode(text)


@given(st.sampled_from(sorted(BY_TYPE.keys() & SCALARS.keys(), key=str)), st.data())
def test_every_scalar_reads_what_it_wrote(kind: object, data: st.DataObject) -> None:
    scalar = SCALARS[kind]
    value = data.draw(BY_TYPE[kind])
    assert scalar.read(scalar.write(value)) == value
