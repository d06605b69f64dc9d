import pytest

from insula.conversion.foreigndocument import ForeignDocument
from insula.conversion.openvzsyntax import openvz_entries, openvz_text
from insula.errors import InvalidArgumentError


def _pairs(text: str) -> list[tuple[str, str]]:
    return [(each.key, each.value) for each in openvz_entries(ForeignDocument(text=text))]


def test_values_stand_in_quotes_or_not_and_the_last_one_counts() -> None:
    text = '# c\nA="1 2" # why\nB=\'x\'\nC=3 # c\nA="4"\nEMPTY=""\n'
    assert _pairs(text) == [("B", "x"), ("C", "3"), ("A", "4")]


@pytest.mark.parametrize("line", ["nonsense", "1A=2", "A B=3", 'A="open', ". /etc/vz/vz.conf"])
def test_what_is_no_setting_is_named_by_its_line(line: str) -> None:
    with pytest.raises(InvalidArgumentError, match="line 2"):
        _pairs(f"A=1\n{line}\n")


def test_nothing_is_written_that_a_shell_would_take_for_something_else() -> None:
    evil = [("A", "$(x)"), ("B", "`x`"), ("C", 'x";y'), ("D", "a\nE=1"), ("F", "\\"), ("G", "fine"), ("H", "")]
    assert openvz_text(evil) == 'G="fine"\n'
