import argparse
import json
from typing import Any

import pytest

from insula.cli.columns import Column, list_arguments, show_list
from insula.errors import InvalidArgumentError

FIELDS = ("name", "memory", "addresses", "labels", "autostart")
ROWS: list[dict[str, Any]] = [
    {"name": "web", "memory": 300, "addresses": ["10.0.0.2", "fd00::2"], "labels": {"role": "www"}, "autostart": True},
    {"name": "archive", "memory": None, "addresses": [], "labels": {}, "autostart": False},
    {"name": "db,1", "memory": 1000, "addresses": ["10.0.0.3"], "labels": {"role": "db"}, "autostart": True},
]


def _shown(capsys: pytest.CaptureFixture[str], *words: str, rows: list[dict[str, Any]] = ROWS) -> list[str]:
    parser = argparse.ArgumentParser()
    list_arguments(parser, FIELDS)
    columns = (Column("NAME", lambda row: row["name"]), Column("MEMORY", lambda row: row["memory"]))
    show_list(parser.parse_args(words), rows, columns, FIELDS)
    return capsys.readouterr().out.splitlines()


def _names(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    return _shown(capsys, "-q", *words)


def test_people_get_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert _shown(capsys)[:3] == ["NAME     MEMORY", "web      300", "archive  -"]


def test_numbers_are_sorted_by_size_and_what_is_missing_comes_last(capsys: pytest.CaptureFixture[str]) -> None:
    assert _names(capsys, "--sort", "memory") == ["web", "db,1", "archive"]
    assert _names(capsys, "--sort=-memory") == ["db,1", "web", "archive"]
    assert _names(capsys, "--sort", "autostart,name") == ["archive", "db,1", "web"]
    assert _names(capsys, "--sort=-name") == ["web", "db,1", "archive"]


@pytest.mark.parametrize(
    ("wishes", "names"),
    [
        (("name=w*",), ["web"]),
        (("name!=w*",), ["archive", "db,1"]),
        (("addresses=10.0.*",), ["web", "db,1"]),
        (("addresses=",), ["archive"]),
        (("addresses!=10.0.0.2",), ["archive", "db,1"]),
        (("autostart=yes", "name=d*"), ["db,1"]),
        (("label=role",), ["web", "db,1"]),
        (("label=role=d?",), ["db,1"]),
        (("label!=role",), ["archive"]),
    ],
)
def test_filters_are_patterns_and_all_of_them_hold(
    capsys: pytest.CaptureFixture[str], wishes: tuple[str, ...], names: list[str]
) -> None:
    assert _names(capsys, *(word for each in wishes for word in ("--filter", each))) == names


def test_json_is_all_that_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads("\n".join(_shown(capsys, "--json", "--filter", "name=web"))) == ROWS[:1]
    assert _shown(capsys, "--format", "json") == _shown(capsys, "--json")


def test_csv_has_every_field_and_quotes_what_needs_it(capsys: pytest.CaptureFixture[str]) -> None:
    lines = _shown(capsys, "--format", "csv")
    assert lines[:2] == ["name,memory,addresses,labels,autostart", 'web,300,"10.0.0.2,fd00::2",role=www,yes']
    assert lines[2:] == ["archive,,,,no", '"db,1",1000,10.0.0.3,role=db,yes']


def test_a_lines_text_is_ones_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert _shown(capsys, "--format", r"{name}\t<{memory}>", "--filter", "name=web") == ["web\t<300>"]


@pytest.mark.parametrize("words", [("--sort", "size"), ("--filter", "size=1"), ("--format", "{size}")])
def test_a_field_that_there_is_not_is_told_with_those_there_are(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidArgumentError, match="no field 'size'; there are name, memory"):
        _shown(capsys, *words)


@pytest.mark.parametrize("words", [("--filter", "name"), ("--format", "yaml")])
def test_what_is_no_filter_and_no_format_is_refused(capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    with pytest.raises(InvalidArgumentError, match="such as"):
        _shown(capsys, *words)


@pytest.mark.parametrize("form", ["csv", "{name}", "table"])
def test_no_value_commands_the_terminal(capsys: pytest.CaptureFixture[str], form: str) -> None:
    row = ROWS[0] | {"name": "a\x1b[6nb"}
    assert "a\\x1b[6nb" in "\n".join(_shown(capsys, "--format", form, rows=[row]))
