import json

import pytest

from insula.cli.render import show_facts, show_json, show_table, size


def test_columns_are_as_wide_as_their_widest_cell(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(("NAME", "STATE"), [("a", "running"), ("longer-name", "shut off")])
    assert capsys.readouterr().out == "NAME         STATE\na            running\nlonger-name  shut off\n"


def test_control_characters_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(("TITLE",), [("\x1b[2Jgone",)])
    assert "\x1b" not in capsys.readouterr().out


def test_facts_are_aligned_and_missing_values_are_dashes(capsys: pytest.CaptureFixture[str]) -> None:
    show_facts({"name": "web", "hostname": None})
    assert capsys.readouterr().out == "name:      web\nhostname:  -\n"


def test_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    show_json([{"name": "wéb"}])
    assert json.loads(capsys.readouterr().out) == [{"name": "wéb"}]


@pytest.mark.parametrize(("number", "text"), [(None, "-"), (5, "5 B"), (2048, "2.0 KiB"), (3 * 1024**4, "3.0 TiB")])
def test_sizes_have_binary_units(number: int | None, text: str) -> None:
    assert size(number) == text
