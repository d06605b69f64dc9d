"""What is refused before anything is asked of the daemon about passwords and keys; the rest is tried in guests."""

import io
from pathlib import Path

import pytest

from insula.cli import accountcommands
from insula.cli.accountcommands import keys_of
from insula.errors import InvalidArgumentError
from insula.rpc.procedures import Remote
from tests.unit.cli.fake_client import WEB, FakeClient
from tests.unit.cli.options import options_of

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0 ann@example.org, her laptop"


@pytest.fixture
def client() -> FakeClient:
    return FakeClient({Remote.DOMAIN_LOOKUP_BY_NAME: WEB})


def _run(client: FakeClient, verb: str, *words: str) -> int:
    return accountcommands.RUN[verb](options_of(accountcommands.ARGUMENTS[verb], *words), client.host)


@pytest.mark.parametrize("password", ["", "\n", "a\tb\n", "a\u202eb", "x" * 513])
def test_a_password_that_nobody_could_type_is_refused(
    client: FakeClient, monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(password))
    monkeypatch.setattr("insula.cli.terminal.is_terminal", lambda fd: False)
    with pytest.raises(InvalidArgumentError, match="1 to 512 bytes"):
        _run(client, "passwd", "web")
    assert client.made(Remote.DOMAIN_SET_USER_PASSWORD) == []


def test_a_password_is_asked_for_twice_at_a_terminal(client: FakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["one", "other"])
    monkeypatch.setattr("insula.cli.terminal.is_terminal", lambda fd: True)
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(answers))
    with pytest.raises(InvalidArgumentError, match="the two passwords differ"):
        _run(client, "passwd", "web")


@pytest.mark.parametrize("user", ["", "a:b", "a\nb"])
def test_what_names_no_user_is_refused(client: FakeClient, user: str) -> None:
    with pytest.raises(InvalidArgumentError, match="names no user"):
        _run(client, "passwd", "-u", user, "web")


def test_keys_are_taken_once_without_comments() -> None:
    texts = [f"# mine\n{KEY}\n\n", f"{KEY}\necdsa-sha2-nistp256 AAAA=\n"]
    assert keys_of(texts) == [KEY, "ecdsa-sha2-nistp256 AAAA="]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "there is no public key"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1r\n", "a private key, which stays with you"),
        ("hello", "'hello' is no public key"),
        (f'command="reboot" {KEY}', "is no public key"),
        (f"{KEY}\x07", "is no public key"),
        ("\n".join(f"ssh-rsa {'A' * 1000}{number:04}" for number in range(40)), "more than 32768 bytes of keys"),
    ],
)
def test_what_is_no_public_key_is_refused(text: str, problem: str) -> None:
    with pytest.raises(InvalidArgumentError, match=problem):
        keys_of([text])


def test_a_file_that_cannot_be_read_is_named(client: FakeClient, tmp_path: Path) -> None:
    (tmp_path / "binary.pub").write_bytes(b"\xff\xfe")
    for path, reason in ((tmp_path / "missing.pub", "No such file"), (tmp_path / "binary.pub", "it is no text")):
        with pytest.raises(InvalidArgumentError, match=f"{path.name}' cannot be read: {reason}"):
            _run(client, "authorize", "web", str(path))


def test_without_keys_of_ones_own_it_is_said_what_to_do(
    client: FakeClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(InvalidArgumentError, match="use ssh-keygen"):
        _run(client, "authorize", "web")
