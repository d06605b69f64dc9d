import pytest
from hypothesis import given
from hypothesis import strategies as some

from insula.cli.neutral import Neutralizer, neutral


def shown(*pieces: bytes, encoding: str = "utf-8") -> bytes:
    neutralizer = Neutralizer(encoding)
    return b"".join(neutralizer.feed(each) for each in pieces) + neutralizer.finish()


def test_printable_text_stays_as_it_is() -> None:
    assert neutral("w\u00e9b \U0001f600 \u65e5\u672c") == "w\u00e9b \U0001f600 \u65e5\u672c"


def test_what_is_not_printable_is_shown_unless_it_is_kept() -> None:
    assert neutral("a\x1b\n\x9b\u2028", kept="\n") == "a\\x1b\n\\x9b\\u2028"


@pytest.mark.parametrize(
    ("said", "seen"),
    [
        (b"[\x1b[0;32m  OK  \x1b[0m] Started\r\n", b"[  OK  ] Started\r\n"),
        (b"\x1b[6n", b"\\x1b[6n"),
        (b"\x1b]0;title\x07", b"\\x1b]0;title\\x07"),
        (b"\x1bP+q6e616d65\x1b\\", b"\\x1bP+q6e616d65\\x1b\\"),
        (b"\xc2\x9b6n", b"\\x9b6n"),
        (b"\x9b6n", b"\\x9b6n"),
        (b"\x08\x0b\x0c\x0e", b"\\x08\\x0b\\x0c\\x0e"),
        (b"50%\r100%\tdone", b"50%\r100%\tdone"),
    ],
)
def test_no_sequence_but_line_ends_reaches_the_terminal(said: bytes, seen: bytes) -> None:
    assert shown(said) == seen
    assert shown(*(said[index : index + 1] for index in range(len(said)))) == seen


def test_a_colour_that_never_ends_is_shown_and_not_kept_back() -> None:
    assert shown(b"a\x1b[3") == b"a\\x1b[3"
    assert len(Neutralizer("utf-8").feed(b"\x1b[" + b"1;" * 100)) > 100


def test_a_terminal_of_another_encoding_gets_what_it_can_show() -> None:
    assert shown("\u00e9\u20ac".encode(), encoding="latin-1") == b"\xe9\\u20ac"


@given(some.lists(some.binary(max_size=40)))
def test_whatever_comes_in_whatever_pieces_only_text_and_line_motions_go_out(pieces: list[bytes]) -> None:
    out = shown(*pieces)
    assert all(each.isprintable() or each in "\n\t\r" for each in out.decode())
    assert out == shown(b"".join(pieces))
