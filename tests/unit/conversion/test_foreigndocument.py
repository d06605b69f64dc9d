import pytest

from insula.conversion.foreigndocument import LINES_MAX, SIZE_MAX, ForeignDocument, fault_at, quoted
from insula.errors import InvalidArgumentError


@pytest.mark.parametrize("text", ["x" * (SIZE_MAX + 1), "\0", "\n" * (LINES_MAX + 1)])
def test_what_is_too_large_or_no_text_is_refused_wherever_it_stands(text: str) -> None:
    for document in (ForeignDocument(text=text), ForeignDocument(text="", others={"/a": text})):
        with pytest.raises(InvalidArgumentError):
            document.checked()


def test_what_is_within_bounds_passes() -> None:
    document = ForeignDocument(text="x" * SIZE_MAX)
    assert document.checked() is document


def test_errors_name_file_and_line() -> None:
    assert str(fault_at(3, "is no setting", "/a")) == "/a, line 3: is no setting"
    assert str(fault_at(3, "is no setting")) == "line 3: is no setting"


def test_quoted_text_is_short_and_can_be_seen() -> None:
    assert quoted("a\x1b[2J") == "'a\\u001b[2J'"
    assert len(quoted("x" * 1000)) < 200
