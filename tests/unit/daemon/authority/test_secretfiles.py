"""Whose a secret file may be, and how it may be readable."""

import os
from pathlib import Path

import pytest

from insula.daemon.authority.secretfiles import check_secrecy
from insula.errors import ConfigurationError


def looked_at(path: Path, *, mode: int = 0o600, uid: int = 0) -> os.stat_result:
    path.touch()
    path.chmod(mode)
    fields = list(path.stat())
    fields[4] = uid
    return os.stat_result(fields)


def test_a_file_of_roots_or_our_own_that_nobody_else_can_use_is_taken(tmp_path: Path) -> None:
    check_secrecy(tmp_path, looked_at(tmp_path / "key"), "key")
    check_secrecy(tmp_path, looked_at(tmp_path / "key", mode=0o400, uid=os.geteuid()), "key")


@pytest.mark.parametrize("mode", [0o640, 0o620, 0o604, 0o602, 0o610])
def test_one_that_others_can_use_proves_nothing(tmp_path: Path, mode: int) -> None:
    with pytest.raises(ConfigurationError, match=r"others than its owner may use .*key: .*chmod it to 0600"):
        check_secrecy(tmp_path / "key", looked_at(tmp_path / "key", mode=mode), "key")


def test_one_of_another_user_proves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="key is another user's: chown it to root"):
        check_secrecy(tmp_path / "key", looked_at(tmp_path / "key", uid=os.geteuid() + 4711), "key")


def test_what_is_no_file_is_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is no key, for it is no regular file"):
        check_secrecy(tmp_path, tmp_path.stat(), "key")
