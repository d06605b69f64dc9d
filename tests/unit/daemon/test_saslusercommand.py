"""insulad sasl-user: users come and go, and passwords stand nowhere."""

import io
from pathlib import Path

import pytest

from insula.daemon.authority.saslusers import read_users
from insula.daemon.entry import main as insulad
from insula.daemon.saslusercommand import main


@pytest.fixture
def users(tmp_path: Path) -> Path:
    return tmp_path / "etc/insula/sasl-users"


def change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *words: str, said: str = "") -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO(said))
    monkeypatch.setattr("insula.daemon.saslusercommand.os.isatty", lambda _: False)
    return main(["--prefix", str(tmp_path), *words])


def test_users_are_added_listed_and_removed(
    tmp_path: Path, users: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for each in ("bert", "anna"):
        assert change(tmp_path, monkeypatch, "add", each, said="pencil\nmore") == 0
    assert users.stat().st_mode & 0o777 == 0o600 and "pencil" not in users.read_text()
    assert change(tmp_path, monkeypatch, "list") == 0
    assert capsys.readouterr().out == "anna\nbert\n"
    before = read_users(users)
    assert change(tmp_path, monkeypatch, "add", "anna", said="other\n") == 0
    after = read_users(users)
    assert after.secret == before.secret and after.of("anna", "SCRAM-SHA-256") != before.of("anna", "SCRAM-SHA-256")
    assert change(tmp_path, monkeypatch, "remove", "anna") == 0
    assert read_users(users).names == ["bert"]


def test_what_cannot_be_is_refused_in_words(
    tmp_path: Path, users: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert change(tmp_path, monkeypatch, "list") == 2
    assert change(tmp_path, monkeypatch, "add", "a b", said="pencil\n") == 2
    assert change(tmp_path, monkeypatch, "add", "anna", said="\n") == 2
    assert not users.exists()
    assert change(tmp_path, monkeypatch, "add", "anna", said="pencil\n") == 0
    assert change(tmp_path, monkeypatch, "remove", "eve") == 2
    users.chmod(0o644)
    assert change(tmp_path, monkeypatch, "add", "bert", said="pencil\n") == 2
    told = capsys.readouterr().err
    assert "makes it" in told and "names no user" in told and "1 to 512 bytes" in told and "no user 'eve'" in told
    assert "chmod it to 0600" in told


def test_at_a_terminal_it_is_asked_for_twice(
    tmp_path: Path, users: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("insula.daemon.saslusercommand.os.isatty", lambda _: True)
    said = iter(["one", "two", "pencil", "pencil"])
    monkeypatch.setattr("getpass.getpass", lambda _: next(said))
    words = ["sasl-user", "--prefix", str(tmp_path), "add", "anna"]
    assert insulad(words) == 2 and "differ" in capsys.readouterr().err
    assert insulad(words) == 0 and read_users(users).names == ["anna"]


def test_the_installation_may_be_named_before_the_verb_as_the_daemon_has_it(
    tmp_path: Path, users: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("insula.daemon.saslusercommand.os.isatty", lambda _: True)
    monkeypatch.setattr("getpass.getpass", lambda _: "pencil")
    assert insulad(["--prefix", str(tmp_path), "sasl-user", "add", "anna"]) == 0
    settings = tmp_path / "settings.toml"
    settings.touch()
    assert insulad([f"--prefix={tmp_path}", "--config", str(settings), "sasl-user", "add", "bert"]) == 0
    assert read_users(users).names == ["anna", "bert"]
    with pytest.raises(SystemExit):
        insulad(["--prefix", str(tmp_path), "sasl-users"])
    assert "unrecognized arguments: sasl-users" in capsys.readouterr().err


def test_the_settings_may_name_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, elsewhere = tmp_path / "settings.toml", tmp_path / "elsewhere/users"
    settings.write_text(f'sasl_credentials = "{elsewhere}"\n')
    assert change(tmp_path, monkeypatch, "--config", str(settings), "add", "anna", said="pencil\n") == 0
    assert read_users(elsewhere).names == ["anna"]
