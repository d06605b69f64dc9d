import pytest

from insula.model.titles import title_problems


@pytest.mark.parametrize("title", [None, "", "Büro\u00a0LAN", "a\tb"])
def test_a_title_of_one_line_is_right(title: str | None) -> None:
    assert not list(title_problems(title))


@pytest.mark.parametrize(
    ("title", "text"), [("a\nb", "several lines"), ("a\u202eb", "U\\+202E"), ("a\x7f", "U\\+007F")]
)
def test_what_nobody_sees_in_a_title_is_wrong(title: str, text: str) -> None:
    (found,) = title_problems(title)
    assert text.replace("\\", "") in found
