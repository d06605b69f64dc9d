"""The view's command line; tests/e2e/test_machine_view.py has the process."""

import pytest

from insula.view.main import _ViewOptions


def test_what_the_command_line_says() -> None:
    options = _ViewOptions(["--listen-fd", "5", "--ready-fd", "6", "--detach"])
    assert (options.listen, options.ready, options.detach) == (5, 6, True)


@pytest.mark.parametrize("words", [["--ready-fd", "6"], ["--sing"], ["--listen-fd", "x"]])
def test_other_words_are_refused(words: list[str]) -> None:
    with pytest.raises(ValueError, match=r"view|invalid literal"):
        _ViewOptions(words)
