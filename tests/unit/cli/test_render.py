import json

import pytest

from insula.cli.render import exit_words, show_error, show_facts, show_json, show_line, show_progress, show_table, size


def test_columns_are_as_wide_as_their_widest_cell(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(("NAME", "STATE"), [("a", "running"), ("longer-name", "shut off")])
    assert capsys.readouterr().out == "NAME         STATE\na            running\nlonger-name  shut off\n"


def test_control_characters_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(("TITLE",), [("\x1b[2Jgone",)])
    assert "\x1b" not in capsys.readouterr().out


def test_no_line_of_any_kind_commands_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "a\x1b[6n\x9b6n\u202eb\x07\r"
    show_line(hostile)
    show_facts({hostile: hostile})
    show_error(hostile, of=hostile)
    show_progress(hostile)
    show_json({hostile: hostile})
    out, err = capsys.readouterr()
    assert all(each.isprintable() or each == "\n" for each in out + err)
    assert out.startswith("a\\x1b[6n\\x9b6n\\u202eb\\x07\\r\n")


def test_json_means_the_same_with_its_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"name": "w\u00e9b \x7f \x9b \u202e \U000e0001 \U0001f600"}
    show_json(value)
    out = capsys.readouterr().out
    assert json.loads(out) == value and "w\u00e9b" in out and "\U0001f600" in out


def test_an_error_of_several_lines_stays_so(capsys: pytest.CaptureFixture[str]) -> None:
    show_error("two\nlines", of="web")
    assert capsys.readouterr().err == "insula: web: two\nlines\n"


def test_facts_are_aligned_and_missing_values_are_dashes(capsys: pytest.CaptureFixture[str]) -> None:
    show_facts({"name": "web", "hostname": None})
    assert capsys.readouterr().out == "name:      web\nhostname:  -\n"


def test_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    show_json([{"name": "wéb"}])
    assert json.loads(capsys.readouterr().out) == [{"name": "wéb"}]


@pytest.mark.parametrize(("number", "text"), [(None, "-"), (5, "5 B"), (2048, "2.0 KiB"), (3 * 1024**4, "3.0 TiB")])
def test_sizes_have_binary_units(number: int | None, text: str) -> None:
    assert size(number) == text


def test_the_end_of_a_process_is_told_by_its_status_or_its_signal() -> None:
    assert (exit_words(3 << 8), exit_words(9)) == ("status 3", "signal 9")
