"""Without a daemon the host is examined by a program that changes nothing."""

import json
from pathlib import Path

import pytest

from insula.daemon import entry
from insula.daemon.hostexamination import main, settings_check
from insula.engine.hostcheck import Gravity
from insula.layout import Layout


def test_one_document_tells_what_was_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--prefix", str(tmp_path)]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["daemon"] is False and {"settings.readable", "room.run"} <= {each["id"] for each in answer["checks"]}
    assert list(tmp_path.iterdir()) == []


def test_it_is_a_word_behind_insulad(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["--prefix", str(tmp_path), "doctor"]) == 0
    assert json.loads(capsys.readouterr().out)["checks"]


def test_settings_that_mean_nothing_are_an_error(tmp_path: Path) -> None:
    layout = Layout.prefix(tmp_path)
    layout.settings.parent.mkdir(parents=True)
    layout.settings.write_text("nonsense = 1\n")
    found = settings_check(layout, None)
    assert found.gravity is Gravity.ERROR and "insulad.toml" in found.found
    layout.settings.write_text("")
    assert settings_check(layout, None).gravity is Gravity.OK


def test_a_prefix_that_cannot_be_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--prefix", "relative"]) != 0
    assert "insulad doctor:" in capsys.readouterr().err
