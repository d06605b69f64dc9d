"""Hashes of passwords, which another program of the host takes."""

import subprocess

import pytest

from insula.errors import OperationUnsupportedError
from insula.kernel import passwordhash
from insula.kernel.passwordhash import password_hash
from tests.waiting import patience


def test_a_hash_is_what_another_program_makes_of_the_password_and_the_salt() -> None:
    found = password_hash("Gr\u00fc\u00dfe: 'x' $1 %s")
    method, rounds, salt, _ = found.split("$")[1:]
    assert (method, rounds) == ("6", "rounds=100000")
    code = "$p = 'Gr\u00fc\u00dfe: \\'x\\' $1 %s'; print crypt($p, $ARGV[0])"
    told = subprocess.run(
        ["perl", "-e", code, f"$6${rounds}${salt}$"], capture_output=True, text=True, check=True, timeout=patience(60)
    )
    assert told.stdout == found


def test_no_two_hashes_are_the_same() -> None:
    assert password_hash("secret") != password_hash("secret")


def test_a_host_without_the_library_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwordhash, "_LIBRARIES", ("libnothing.so.1",))
    passwordhash._library.cache_clear()
    try:
        with pytest.raises(OperationUnsupportedError, match="give the password's hash"):
            password_hash("secret")
    finally:
        passwordhash._library.cache_clear()
