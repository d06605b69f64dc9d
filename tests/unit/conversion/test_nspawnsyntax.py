import pytest

from insula.conversion.foreigndocument import ForeignDocument
from insula.conversion.nspawnsyntax import part, parts_of, truth, unit_entries, unit_text
from insula.errors import InvalidArgumentError


def _pairs(text: str) -> list[tuple[str, str, int]]:
    return [(each.key, each.value, each.line) for each in unit_entries(ForeignDocument(text=text))]


def test_settings_stand_in_sections_and_go_on_behind_a_backslash() -> None:
    text = "# c\n[Exec]\n; c\nParameters=a \\\n# c\n  b\n\n[Files]\nBind = /x\n"
    assert _pairs(text) == [("Exec.Parameters", "a  b", 4), ("Files.Bind", "/x", 9)]


def test_an_empty_value_takes_back_what_was_said() -> None:
    assert _pairs("[Files]\nBind=/a\nBind=\nBind=/b\n") == [("Files.Bind", "/b", 4)]


@pytest.mark.parametrize("text", ["Boot=yes", "[Exec\n", "[Exec]\nBoot"])
def test_what_is_no_setting_is_named_by_its_line(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match="line "):
        _pairs(text)


def test_a_text_that_ends_amid_a_setting_still_has_it() -> None:
    assert _pairs("[Exec]\nBoot=yes\\") == [("Exec.Boot", "yes", 2)]


def test_nothing_is_written_that_is_another_setting() -> None:
    evil = [("A.B", "x\n[Files]"), ("A.C", " x"), ("A.D", "x\\"), ("A.E", ""), ("A.F", "ok"), ("G.H", "1")]
    assert unit_text(evil) == "[A]\nF=ok\n\n[G]\nH=1\n"


def test_booleans_have_many_spellings() -> None:
    assert [truth(each) for each in ("yes", "ON", "1", "no", "off", "0", "maybe")] == [True] * 3 + [False] * 3 + [None]


def test_parts_are_taken_apart_as_they_are_put_together() -> None:
    assert parts_of(f"{part('/a:b')}:/c") == ("/a:b", "/c")
