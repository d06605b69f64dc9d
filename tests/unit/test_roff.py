"""Text for pages of man(7)."""

from insula.roff import escaped, named, tagged


def test_no_text_is_read_as_a_macro_or_an_escape() -> None:
    assert escaped(".so /etc/passwd") == r"\&.so /etc/passwd"
    assert escaped(r"a\fBb") == r"a\efBb"


def test_options_are_bold_and_what_stands_for_a_value_is_not() -> None:
    assert named(("-m", "--memory"), "SIZE") == r"\fB\-m\fR, \fB\-\-memory\fR \fISIZE\fR"
    assert (named(("-f",), ""), named((), "DOMAIN")) == (r"\fB\-f\fR", r"\fIDOMAIN\fR")


def test_a_paragraph_without_a_text_has_its_tag_alone() -> None:
    assert tagged("x", "") == [".TP", "x"] and tagged("x", "a-b") == [".TP", "x", r"a\-b"]
