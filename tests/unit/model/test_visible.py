from hypothesis import given
from hypothesis import strategies as st

from insula.model.visible import visible


def test_what_commands_a_terminal_or_is_not_seen_is_shown() -> None:
    assert visible("a\x1b[6n\u202e\x85\n") == "a\\u001b[6n\\u202e\\u0085\\u000a"
    assert visible("\udcff") == "\\udcff"
    assert visible("Gäste 東京") == "Gäste 東京"


@given(st.text(st.characters()))
def test_whatever_it_was_it_can_be_sent_and_printed(text: str) -> None:
    shown = visible(text)
    assert shown.isprintable()
    assert shown.encode().decode() == shown
