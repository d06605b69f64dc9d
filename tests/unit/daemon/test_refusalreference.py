"""The page of what is refused says what the daemon says."""

import sys
from pathlib import Path

import pytest

from insula.daemon import refusalreference
from insula.rpc.absentreasons import ABSENT_REASONS

CHECKOUT = Path(__file__).parents[3]


def test_the_page_is_what_the_table_makes() -> None:
    assert (CHECKOUT / refusalreference.PAGE).read_text() == refusalreference.page(), "run scripts/build-reference"


def test_every_reason_stands_there_once_with_all_its_calls() -> None:
    rows = refusalreference.page().splitlines()
    for api, reason in ABSENT_REASONS.items():
        (row,) = (each for each in rows if each.endswith(f"| {reason} |"))
        assert f"`{api}`" in row


def test_the_page_is_written_where_it_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / refusalreference.PAGE).parent.mkdir(parents=True)
    monkeypatch.setattr(sys, "argv", ["refusalreference", str(tmp_path)])
    refusalreference.main()
    refusalreference.main()
    assert capsys.readouterr().out == f"{refusalreference.PAGE}\n"
    assert (tmp_path / refusalreference.PAGE).read_text() == refusalreference.page()
