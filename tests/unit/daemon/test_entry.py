"""What the daemon does before it has its lock; how it serves is tested with real clients, in tests/e2e."""

import os
from pathlib import Path

import pytest

from insula.daemon.entry import main


def test_a_relative_prefix_is_refused_with_the_exit_status_of_a_wrong_setting(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--prefix", "relative"]) == 2
    assert capsys.readouterr().err.startswith("insulad: the prefix 'relative' is relative")


def test_a_mistake_in_the_settings_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "settings.toml").write_text("nonsense = 1\n")
    assert main(["--prefix", str(tmp_path), "--config", str(tmp_path / "settings.toml")]) == 2
    assert "settings.toml line 1: unknown key 'nonsense'" in capsys.readouterr().err


@pytest.mark.parametrize("seconds", ["-5", "nan", "inf", "soon"])
def test_a_time_that_is_none_is_refused(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([f"--timeout={seconds}"])
    assert caught.value.code == 2
    assert f"invalid seconds value: '{seconds}'" in capsys.readouterr().err


def test_who_is_not_root_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert main(["--prefix", str(tmp_path)]) == 2
    assert "must be run by root" in capsys.readouterr().err
    assert os.listdir(tmp_path) == []


def test_a_lock_file_that_cannot_be_opened_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run/insula/insulad.pid").mkdir(parents=True)
    assert main(["--prefix", str(tmp_path)]) == 2
    assert f"cannot open the lock file {tmp_path}/run/insula/insulad.pid" in capsys.readouterr().err


def test_it_tells_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out.startswith("insulad 0.")
