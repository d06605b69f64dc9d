"""Single values on the wire: their bytes, their limits, and what is refused."""

import pytest

from insula.errors import RpcError
from insula.rpc import xdr

NUMBER_TEXT_NUMBER = xdr.sequence_of([xdr.number("i"), xdr.TEXT, xdr.number("I")], tuple)


@pytest.mark.parametrize(
    ("codec", "value", "data"),
    [
        (xdr.number("i"), -1, b"\xff\xff\xff\xff"),
        (xdr.number("Q"), 1, b"\0\0\0\0\0\0\0\1"),
        (xdr.number("d"), 1.5, b"\x3f\xf8\0\0\0\0\0\0"),
        (xdr.small(255), 200, b"\0\0\0\xc8"),
        (xdr.TEXT, "", b"\0\0\0\0"),
        (xdr.TEXT, "abcd", b"\0\0\0\4abcd"),
        (xdr.TEXT, "é", b"\0\0\0\2\xc3\xa9\0\0"),
        (xdr.opaque(9), b"\0\1\2", b"\0\0\0\3\0\1\2\0"),
        (xdr.characters(9), b"a\xff", b"\0\0\0\2" b"\0\0\0a" b"\xff\xff\xff\xff"),
        (xdr.characters_fixed(3), b"ab", b"\0\0\0a" b"\0\0\0b" b"\0\0\0\0"),
        (xdr.UUID, bytes(range(16)), bytes(range(16))),
        (xdr.optional(xdr.TEXT), None, b"\0\0\0\0"),
        (xdr.optional(xdr.TEXT), "a", b"\0\0\0\1" b"\0\0\0\1a\0\0\0"),
        (xdr.list_of(xdr.number("i"), 2), (1, 2), b"\0\0\0\2" b"\0\0\0\1" b"\0\0\0\2"),
        (NUMBER_TEXT_NUMBER, (1, "a", 2), b"\0\0\0\1" b"\0\0\0\1a\0\0\0" b"\0\0\0\2"),
    ],
)  # fmt: skip
def test_a_value_and_its_bytes(codec: xdr.Codec, value: object, data: bytes) -> None:
    assert codec.pack(value) == data
    assert codec.unpack(b"####" + data, 4) == (value, 4 + len(data))


@pytest.mark.parametrize(
    ("codec", "data"),
    [
        (xdr.TEXT, b"\0\0\0\1a\0\0"),
        (xdr.TEXT, b"\0\0\0\5abcd"),
        (xdr.TEXT, b"\xff\xff\xff\xffabcd"),
        (xdr.opaque(2), b"\0\0\0\3abc\0"),
        (xdr.characters(2), b"\0\0\0\3" + bytes(12)),
        (xdr.characters(9), b"\0\0\0\2\0\0\0\0"),
        (xdr.UUID, bytes(15)),
        (xdr.list_of(xdr.number("i"), 2), b"\0\0\0\3" + bytes(12)),
    ],
)  # fmt: skip
def test_bytes_that_hold_no_such_value_are_refused(codec: xdr.Codec, data: bytes) -> None:
    with pytest.raises(RpcError):
        codec.unpack(data, 0)


def test_a_text_may_have_four_mebibytes_and_no_byte_more() -> None:
    longest = "x" * xdr.STRING_MAX
    assert xdr.TEXT.unpack(xdr.TEXT.pack(longest), 0)[0] == longest
    with pytest.raises(RpcError):
        xdr.TEXT.pack(longest + "x")
    with pytest.raises(RpcError):
        xdr.TEXT.unpack(xdr.U32.pack(xdr.STRING_MAX + 4) + bytes(xdr.STRING_MAX + 4), 0)


def test_a_list_may_have_16384_members_and_not_one_more() -> None:
    codec = xdr.list_of(xdr.number("i"), xdr.LIST_MAX)
    longest = tuple(range(xdr.LIST_MAX))
    assert codec.unpack(codec.pack(longest), 0)[0] == longest
    with pytest.raises(RpcError):
        codec.pack((*longest, 0))


def test_a_huge_count_is_refused_before_anything_is_made_of_it() -> None:
    with pytest.raises(RpcError, match="4294967295"):
        xdr.list_of(xdr.TEXT, xdr.LIST_MAX).unpack(b"\xff\xff\xff\xff", 0)
    with pytest.raises(RpcError):
        xdr.characters(2**32).unpack(b"\xff\xff\xff\xff", 0)


def test_neighbours_of_fixed_size_are_refused_when_cut_short() -> None:
    codec = xdr.sequence_of([xdr.number("i"), xdr.number("Q")], tuple)
    with pytest.raises(Exception, match="buffer"):
        codec.unpack(bytes(11), 0)


def _on_the_wire(raw: bytes) -> bytes:
    return len(raw).to_bytes(4, "big") + raw + bytes(-len(raw) % 4)


@pytest.mark.parametrize("encoding", ["ISO-8859-1", "windows-1252", "iso8859-15"])
@pytest.mark.parametrize("quote", ["'", '"'])
def test_a_document_is_read_by_its_declaration_if_it_is_not_utf_8(encoding: str, quote: str) -> None:
    text = f"<?xml version={quote}1.0{quote} encoding={quote}{encoding}{quote}?><title>größe</title>"
    assert xdr.TEXT.unpack(_on_the_wire(text.encode(encoding)), 0)[0] == text


@pytest.mark.parametrize(
    "raw",
    [
        b"gr\xf6\xdfe",
        b"<title>\xf6</title>",
        b"<?xml version='1.0'?><title>\xf6</title>",
        b"<?xml version='1.0' encoding='UTF-8'?><title>\xf6</title>",
        b"<?xml version='1.0' encoding='idna'?><title>\xf6</title>",
        b"<?xml version='1.0' encoding='ISO-8859-99'?><title>\xf6</title>",
        b"<?xml version='1.0' encoding='windows-1252'?><title>\x81</title>",
    ],
)
def test_what_nothing_declares_readable_is_the_same_bytes_when_it_is_sent_again(raw: bytes) -> None:
    text, _ = xdr.TEXT.unpack(_on_the_wire(raw), 0)
    assert not text.isprintable()
    assert xdr.TEXT.pack(text) == _on_the_wire(raw)


@pytest.mark.parametrize(
    ("codec", "data", "value"),
    [
        (xdr.small(255), b"\0\0\1\7", 7),
        (xdr.small(65535), b"\xff\xff\0\7", 7),
        (xdr.TEXT, b"\0\0\0\1a###", "a"),
        (xdr.TEXT, b"\0\0\0\4a\0bc", "a"),
        (xdr.opaque(9), b"\0\0\0\1a###", b"a"),
        (xdr.characters(9), b"\0\0\0\1#\1\1a", b"a"),
        (xdr.optional(xdr.TEXT), b"#\0\0\0" b"\0\0\0\1a###", "a"),
    ],
)  # fmt: skip
def test_what_c_passes_over_is_passed_over(codec: xdr.Codec, data: bytes, value: object) -> None:
    assert codec.unpack(data, 0) == (value, len(data))
