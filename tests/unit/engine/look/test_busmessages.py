"""Messages are jeepney's, and what is none is refused."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jeepney import DBusAddress, HeaderFields, MessageFlag, new_method_call, new_method_return
from jeepney.low_level import Message, Parser

from insula.engine.look.busmessages import (
    HEAD,
    MESSAGE_MAX,
    BusFormatError,
    BusMessage,
    call,
    parse,
    whole_length,
)
from tests.examples import FEW, examples

_TEXT = st.text().filter(lambda text: "\0" not in text)


def asked(serial: int = 3) -> Message:
    message = new_method_call(DBusAddress("/a", "b.c", "b.c.D"), "E", "s", ("x",))
    message.header.serial = serial
    message.header.fields[HeaderFields.sender] = ":1.1"
    return message


def answered(signature: str, body: tuple[object, ...]) -> bytes:
    return bytes(new_method_return(asked(), signature, body).serialise(serial=4))


@settings(max_examples=examples(FEW))
@given(_TEXT, st.lists(_TEXT))
def test_a_call_is_what_jeepney_reads(text: str, texts: list[str]) -> None:
    parser = Parser()
    parser.add_data(call(7, "org.b", "/o/p", ("org.b.I", "Do"), text, tuple(texts), "end"))
    message = parser.get_next_message()
    assert message is not None and message.body == (text, texts, "end")
    fields = message.header.fields
    assert (fields[HeaderFields.path], fields[HeaderFields.destination]) == ("/o/p", "org.b")
    assert (fields[HeaderFields.interface], fields[HeaderFields.member]) == ("org.b.I", "Do")
    assert message.header.serial == 7 and message.header.flags == MessageFlag.no_auto_start


def test_a_call_without_arguments_has_no_body() -> None:
    parser = Parser()
    parser.add_data(call(1, "org.b", "/", ("org.b", "Hello")))
    message = parser.get_next_message()
    assert message is not None and message.body == () and message.header.body_length == 0


@settings(max_examples=examples(FEW))
@given(st.lists(st.tuples(*[_TEXT] * 6, st.just("/a/b"), st.integers(0, 2**32 - 1), _TEXT, st.just("/"))))
def test_units_are_read_as_jeepney_writes_them(units: list[tuple[object, ...]]) -> None:
    raw = answered("a(ssssssouso)", (units,))
    assert whole_length(raw[:HEAD]) == len(raw)
    message = parse(raw)
    assert (message.answers, message.refused) == (3, False)
    assert message.values("a(ssssssouso)") == [units]


@pytest.mark.parametrize(
    ("signature", "value"),
    [("s", "running"), ("u", 5), ("t", 1 << 60), ("x", -1), ("b", True), ("d", 0.5), ("o", "/a"), ("g", "as")],
)
def test_a_variant_of_a_basic_type_is_read(signature: str, value: object) -> None:
    assert parse(answered("v", ((signature, value),))).values("v") == [value]
    assert parse(answered("sv", ("x", (signature, value)))).values("sv") == ["x", value]


@pytest.mark.parametrize("inner", [("as", ["a"]), ("(s)", ("a",)), ("v", ("s", "a")), ("a{sv}", {})])
def test_a_variant_of_another_type_is_refused(inner: tuple[str, object]) -> None:
    with pytest.raises(BusFormatError, match="nobody asked for"):
        parse(answered("v", (inner,))).values("v")


def test_an_answer_of_another_signature_is_none() -> None:
    with pytest.raises(BusFormatError, match="'s', not 'v'"):
        parse(answered("s", ("running",))).values("v")


def body(signature: str, raw: bytes) -> BusMessage:
    return BusMessage(answers=1, refused=False, signature=signature, body=raw, order="<")


@pytest.mark.parametrize(
    ("signature", "raw"),
    [
        ("s", struct.pack("<I", 10) + b"short\0"),
        ("s", struct.pack("<I", 2) + b"\xff\xfe\0"),
        ("s", struct.pack("<I", 0xFFFFFFFF)),
        ("v", b"\x02ss\0" + bytes(8)),
        ("v", b"\xff"),
        ("a(su)", struct.pack("<I", 1 << 30) + bytes(64)),
        ("a(su)", struct.pack("<II", 5, 0) + struct.pack("<I", 0) + bytes(8)),
        ("t", b"1234"),
    ],
)
def test_a_body_that_lies_about_itself_is_refused(signature: str, raw: bytes) -> None:
    with pytest.raises(BusFormatError):
        body(signature, raw).values(signature)


@pytest.mark.parametrize(
    "head",
    [
        b"x" * HEAD,
        struct.pack("<cBBBIII", b"l", 2, 0, 1, MESSAGE_MAX, 1, 0),
        struct.pack("<cBBBIII", b"l", 2, 0, 1, 0xFFFFFFFF, 1, 0),
        struct.pack("<cBBBIII", b"l", 2, 0, 1, 0, 1, 1 << 20),
    ],
)
def test_what_is_too_long_or_no_message_is_refused_by_its_head(head: bytes) -> None:
    with pytest.raises(BusFormatError):
        whole_length(head)


def test_fields_of_wrong_types_are_refused_and_a_refusal_is_told_as_one() -> None:
    fields = struct.pack("<BB2sI", 5, 1, b"s\0", 1) + b"x\0"
    raw = struct.pack("<cBBBIII", b"l", 2, 0, 1, 0, 1, len(fields)) + fields + bytes(-len(fields) % 8)
    with pytest.raises(BusFormatError, match="wrong types"):
        parse(raw)
    assert parse(raw[:1] + b"\3" + raw[2:12] + bytes(4)).refused


def test_either_order_of_bytes_is_read() -> None:
    fields = struct.pack(">BB2sI", 5, 1, b"u\0", 8) + struct.pack(">BB2sB2s", 8, 1, b"g\0", 1, b"u\0")
    raw = struct.pack(">cBBBIII", b"B", 2, 0, 1, 4, 1, len(fields)) + fields + bytes(-len(fields) % 8)
    message = parse(raw + struct.pack(">I", 77))
    assert (message.answers, message.values("u")) == (8, [77])
