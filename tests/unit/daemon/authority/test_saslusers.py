"""The file of users: written, read, and refused where it is not secret."""

import os
from pathlib import Path

import pytest

from insula.daemon.authority.saslusers import (
    SIZE_MAX,
    SaslUsers,
    UserFile,
    checked_user,
    parse_users,
    read_users,
    write_users,
)
from insula.errors import ConfigurationError, InvalidArgumentError
from insula.rpc.scram import HASHES


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "etc/sasl-users"


def test_who_is_added_is_there_with_every_mechanism_and_no_password(path: Path) -> None:
    users = SaslUsers().with_password("anna", "pencil").with_password("bert", "pencil")
    write_users(path, users)
    assert path.stat().st_mode & 0o777 == 0o600 and "pencil" not in path.read_text()
    assert read_users(path) == users and users.names == ["anna", "bert"]
    assert {each.salt for each in users.keys.values()} == {users.of(*key).salt for key in users.keys}
    assert users.without("bert").names == ["anna"]
    with pytest.raises(InvalidArgumentError, match="no user 'eve'"):
        users.without("eve")


def test_another_password_takes_the_place_of_the_former() -> None:
    users = SaslUsers().with_password("anna", "pencil")
    assert users.with_password("anna", "pencil").keys.keys() == users.keys.keys()
    assert users.with_password("anna", "other").of("anna", "SCRAM-SHA-256") != users.of("anna", "SCRAM-SHA-256")


def test_who_is_not_there_is_made_up_and_stays_the_same_as_long_as_the_file_does(path: Path) -> None:
    users = SaslUsers().with_password("anna", "pencil")
    write_users(path, users)
    for each in HASHES:
        made_up = users.of("eve", each)
        assert made_up.salt == read_users(path).of("eve", each).salt != users.of("mallory", each).salt
        assert made_up.iterations == users.of("anna", each).iterations


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_file_that_others_may_use_is_refused(path: Path, mode: int) -> None:
    write_users(path, SaslUsers())
    path.chmod(mode)
    with pytest.raises(ConfigurationError, match="chmod it to 0600"):
        read_users(path)


def test_what_is_no_file_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="insulad sasl-user add NAME makes it"):
        read_users(path)
    path.mkdir(parents=True)
    with pytest.raises(ConfigurationError):
        read_users(path)
    path.rmdir()
    os.mkfifo(path, 0o600)
    with pytest.raises(ConfigurationError, match="no regular file"):
        read_users(path)
    path.unlink()
    path.write_bytes(b"#" * (SIZE_MAX + 1))
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match="more than"):
        read_users(path)
    write_users(path, SaslUsers())
    monkeypatch.setattr("insula.daemon.authority.secretfiles.os.geteuid", lambda: 4711)
    monkeypatch.setattr("insula.daemon.authority.secretfiles._ROOT", 4712)
    with pytest.raises(ConfigurationError, match="another user's"):
        read_users(path)


def test_nonsense_is_refused_with_its_line() -> None:
    kept = str(SaslUsers().with_password("anna", "pencil")).splitlines()
    for line in ("anna", "anna PLAIN", "an:na " + kept[1].partition(" ")[2], kept[1], "decoys !", "\udcff"):
        with pytest.raises(ConfigurationError, match="line 3: "):
            parse_users("\n".join(["# ours", kept[1], line]).encode(errors="surrogateescape"))
    assert parse_users(b"\n# nobody\n").names == []


@pytest.mark.parametrize("name", ["", "a b", "a:b", "*", "a?", "a\n", "#anna", "decoys", "x" * 256])
def test_a_name_that_cannot_stand_there_is_refused(name: str) -> None:
    with pytest.raises(InvalidArgumentError):
        checked_user(name)
    assert checked_user("anna@EXAMPLE.ORG") == "anna@EXAMPLE.ORG"


def test_a_change_counts_at_once_and_a_file_that_is_gone_lets_nobody_in(path: Path) -> None:
    write_users(path, SaslUsers())
    file = UserFile(path)
    assert file.users().names == []
    write_users(path, SaslUsers().with_password("anna", "pencil"))
    assert file.users().names == ["anna"]
    path.chmod(0o644)
    with pytest.raises(ConfigurationError):
        file.users()
    path.unlink()
    with pytest.raises(ConfigurationError):
        file.users()
    write_users(path, SaslUsers())
    assert file.users().names == []


def test_a_file_written_by_hand_makes_the_same_up_for_who_is_not_there_at_each_reading() -> None:
    kept = str(SaslUsers().with_password("anna", "secret")).encode().partition(b"\n")[2]
    (mechanism, *_) = HASHES
    first, again = (parse_users(kept).of("eve", mechanism) for _ in range(2))
    assert first.salt == again.salt
    assert (
        parse_users(b"decoys \n" + kept).of("eve", mechanism).salt
        == parse_users(b"decoys \n" + kept).of("eve", mechanism).salt
    )
