"""help tells what --help does, and understands the same words."""

import pytest

from insula.cli.main import status_of


@pytest.mark.parametrize(
    ("words", "told"), [((), "verbs:"), (("exec",), "insula exec"), (("image", "list"), "image ls")]
)
def test_it_tells_what_there_is(words: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(["help", *words]) == 0
    assert told in capsys.readouterr().out


def test_what_is_no_verb_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(["help", "strt"]) == 2
    assert "did you mean 'start'?" in capsys.readouterr().err
