"""Every body of every procedure survives the wire, and nothing that comes in over it raises anything but RpcError."""

import re
import struct
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insula.errors import RpcError
from insula.rpc.notation import record
from insula.rpc.procedures import PROGRAMS
from tests.examples import examples
from tests.unit.rpc import cxdr
from tests.unit.rpc.wirevalues import values_of

NOTATIONS = sorted(
    {
        notation
        for table in PROGRAMS.values()
        for row in table.rows.values()
        for notation in (row.arguments_notation, row.results_notation)
    }
)


def test_the_tables_hold_the_notations_this_file_is_about() -> None:
    assert len(NOTATIONS) > 200


@pytest.mark.parametrize("notations", [NOTATIONS[at : at + 20] for at in range(0, len(NOTATIONS), 20)])
@settings(max_examples=examples(10))
@given(data=st.data())
def test_what_is_packed_is_unpacked_the_same(notations: list[str], data: st.DataObject) -> None:
    for notation in notations:
        values = data.draw(values_of(notation))
        assert record(notation).unpack(record(notation).pack(values)) == values, notation


@settings(max_examples=examples(60))
@given(notation=st.sampled_from(NOTATIONS), data=st.data())
def test_a_body_cut_short_anywhere_is_an_rpc_error(notation: str, data: st.DataObject) -> None:
    body = record(notation).pack(data.draw(values_of(notation)))
    if body:
        cut = data.draw(st.integers(0, len(body) - 1))
        with pytest.raises(RpcError):
            record(notation).unpack(body[:cut])


@settings(max_examples=examples(60))
@given(notation=st.sampled_from(NOTATIONS), tail=st.binary(min_size=1, max_size=5), data=st.data())
def test_bytes_left_over_are_passed_over(notation: str, tail: bytes, data: st.DataObject) -> None:
    values = data.draw(values_of(notation))
    assert record(notation).unpack(record(notation).pack(values) + tail) == values


def _as_c_reads(notation: str, body: bytes) -> object:
    try:
        return cxdr.fields(cxdr.Body(body), notation)
    except cxdr.RefusedError:
        return None


def _as_we_read(notation: str, body: bytes) -> object:
    try:
        return _as_bytes(record(notation).unpack(body))
    except RpcError:
        return None


def _as_bytes(value: object) -> object:
    """A value of ours as the reference has it; doubles as bytes, because one NaN is not equal to another."""
    if isinstance(value, str):
        return value.encode(errors="surrogateescape")
    if isinstance(value, float):
        return struct.pack(">d", value)
    return tuple(map(_as_bytes, value)) if isinstance(value, tuple) else value


PLAIN = [notation for notation in NOTATIONS if "*" not in notation]
"""Without those that limit a product: that limit is ours, and its own tests stand below."""


@settings(max_examples=examples(200))
@given(notation=st.sampled_from(PLAIN), junk=st.binary(max_size=120))
def test_junk_is_read_as_in_c(notation: str, junk: bytes) -> None:
    assert _as_we_read(notation, junk) == _as_c_reads(notation, junk)


@settings(max_examples=examples(300))
@given(notation=st.sampled_from(PLAIN), data=st.data())
def test_a_body_with_any_bytes_changed_is_read_as_in_c(notation: str, data: st.DataObject) -> None:
    body = bytearray(record(notation).pack(data.draw(values_of(notation))))
    for at in data.draw(st.sets(st.integers(0, max(0, len(body) - 1)), max_size=4)) if body else ():
        body[at] = data.draw(st.integers(0, 255))
    assert _as_we_read(notation, bytes(body)) == _as_c_reads(notation, bytes(body))


@pytest.mark.parametrize("marker", [b"\0\0\0\1", b"\1\0\0\0", b"\xff\xff\xff\xff", b"\0\0\1\0"])
def test_any_marker_but_zero_says_that_a_value_follows(marker: bytes) -> None:
    """go-libvirt opens its connection with 01 00 00 00 before the name."""
    assert record("name:s? flags:u").unpack(marker + b"\0\0\0\4lxc:\0\0\0\0") == ("lxc:", 0)


@settings(max_examples=examples(80))
@given(notation=st.sampled_from(NOTATIONS), data=st.data())
def test_a_changed_word_raises_nothing_but_an_rpc_error(notation: str, data: st.DataObject) -> None:
    body = bytearray(record(notation).pack(data.draw(values_of(notation))))
    if body:
        at = 4 * data.draw(st.integers(0, len(body) // 4 - 1))
        body[at : at + 4] = struct.pack(">I", data.draw(st.integers(0, 2**32 - 1)))
        with suppress(RpcError):
            record(notation).unpack(bytes(body))


def test_the_same_notation_is_compiled_once() -> None:
    assert record("dom:dom flags:u") is record("dom:dom flags:u")


def test_the_bytes_are_those_of_rfc_4506() -> None:
    body = record("name:s flags:u at:q uuid:uuid").pack(("web", 7, -2, bytes(range(16))))
    assert body == b"\0\0\0\3web\0\0\0\0\7\xff\xff\xff\xff\xff\xff\xff\xfe" + bytes(range(16))


def test_a_typed_parameter_is_a_name_a_type_and_a_value() -> None:
    body = record("params:P<>").pack(([("cpu_shares", 4, 1024), ("weight", 7, "8:0,100")],))
    assert body == (
        b"\0\0\0\2"
        b"\0\0\0\x0acpu_shares\0\0" b"\0\0\0\4" b"\0\0\0\0\0\0\4\0"
        b"\0\0\0\6weight\0\0" b"\0\0\0\7" b"\0\0\0\x078:0,100\0"
    )  # fmt: skip


def test_named_arguments_are_put_in_order() -> None:
    assert record("a:i b:i c:i").arrange((1,), {"c": 3, "b": 2}) == (1, 2, 3)


@pytest.mark.parametrize(
    ("positional", "named"),
    [((), {"a": 1}), ((1, 2, 3), {}), ((1,), {"a": 1}), ((1,), {"b": 2, "d": 4}), ((1, 2), {"b": 2})],
)
def test_missing_unknown_and_doubled_arguments_are_refused(positional: tuple[int, ...], named: dict[str, int]) -> None:
    with pytest.raises(RpcError, match="a b"):
        record("a:i b:i").arrange(positional, named)


@pytest.mark.parametrize(
    ("notation", "values"),
    [
        ("a:i", ()),
        ("a:i", (1, 2)),
        ("a:i", (2**31,)),
        ("a:u", (-1,)),
        ("a:u", ("1",)),
        ("a:u", (None,)),
        ("a:s", (None,)),
        ("a:s", (b"bytes",)),
        ("a:s", ("zero\0inside",)),
        ("a:s", ("\ud800",)),
        ("a:dom", (("name", b"short", 1),)),
        ("a:dom", (("name", bytes(16)),)),
        ("a:P<>", ([("name", 9, 1)],)),
        ("a:P<>", ([("name", 7, 1)],)),
        ("a:i<2>", ([1, 2, 3],)),
        ("a:opaque<2>", (b"123",)),
        ("a:c4[2]", (b"123",)),
        ("a:c4", (256,)),
        ("a:u4", (-1,)),
    ],
)
def test_a_value_that_does_not_fit_its_field_is_an_rpc_error(notation: str, values: tuple[Any, ...]) -> None:
    with pytest.raises(RpcError):
        record(notation).pack(values)


@pytest.mark.parametrize("notation", ["name", "name:", "from:s", "a:i<", "a:{b:i", ":s", "a:nosuch"])
def test_a_wrong_notation_is_our_own_mistake(notation: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        record(notation)


@pytest.mark.parametrize(
    ("notation", "fits", "does_not"),
    [
        ("a:i(16)", [0, 16], [-1, 17, 2**31 - 1, -(2**31)]),
        ("a:u(16)", [0, 16], [17, 2**32 - 1]),
        ("a:i(-1,16)", [-1, 0, 16], [-2, 17]),
    ],
)
def test_a_size_beyond_its_limit_is_an_rpc_error_before_anybody_sees_it(
    notation: str, fits: list[int], does_not: list[int]
) -> None:
    plain = record(re.sub(r"\(.*\)", "", notation))
    for value in fits:
        assert record(notation).unpack(plain.pack((value,))) == (value,)
    for value in does_not:
        with pytest.raises(RpcError, match="is allowed"):
            record(notation).unpack(plain.pack((value,)))


def test_two_sizes_may_be_too_large_together() -> None:
    pair = record("number:i(8) length:i(8) flags:u number*length:16")
    assert pair.names == ("number", "length", "flags")
    assert pair.unpack(pair.pack((4, 4, 0))) == (4, 4, 0)
    with pytest.raises(RpcError, match="number 5 times length 4 is more than 16"):
        pair.unpack(pair.pack((5, 4, 0)))


def test_a_list_times_a_size_counts_its_members() -> None:
    pages = record("pages:u<8> cells:u(8) pages*cells:16")
    assert pages.unpack(pages.pack(((9, 9), 8))) == ((9, 9), 8)
    with pytest.raises(RpcError):
        pages.unpack(pages.pack(((9, 9, 9), 8)))


SIZES = re.compile(r"\b(max\w+|nparams|ncpu\w+|maplen|cellCount):[iu](?!\()")


def test_every_size_that_a_client_may_name_has_a_limit() -> None:
    calls = [row for table in PROGRAMS.values() for row in table.rows.values() if not row.is_event]
    named = {f"{row.name} {found}" for row in calls for found in SIZES.findall(row.arguments_notation)}
    assert named == set()
