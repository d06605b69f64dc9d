"""Users and passwords, from where libvirt's clients have them."""

import io
import traceback
from pathlib import Path

import pytest

from insula.errors import AuthenticationError, AuthenticationUnavailableError
from insula.sdk.credentials import Credential, credentials_for

FILE = """\
# ours
[credentials-anna]
authname=anna
password=pen%cil = #1

[credentials-nameless]
password = brush
[credentials-user]
username = bert
[auth-libvirt-web1]
credentials=anna
[auth-libvirt-web2]
credentials=none
[auth-libvirt-web3]
credentials=user
[auth-esx-web4]
credentials=anna
[auth-libvirt-default]
credentials=nameless
"""


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "libvirt/auth.conf"
    path.parent.mkdir()
    path.write_text(FILE)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("LIBVIRT_AUTH_FILE", raising=False)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    return path


def test_the_host_says_whose_they_are() -> None:
    assert credentials_for("web1")() == Credential("anna", "pen%cil = #1")
    assert credentials_for("web9", "carl")() == Credential("carl", "brush"), "what is kept for no user is for any"


def test_another_user_has_not_that_password() -> None:
    with pytest.raises(AuthenticationUnavailableError, match="password of eve is not known"):
        credentials_for("web1", "eve")()


def test_what_is_not_known_is_asked_for_at_a_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AuthenticationUnavailableError, match="password of bert is not known"):
        credentials_for("web3")()
    terminal = io.StringIO("carl\n")
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", terminal)
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr("getpass.getpass", lambda _: "secret")
    assert credentials_for("web3")() == Credential("bert", "secret")
    monkeypatch.setattr("getpass.getpass", lambda _: "")
    with pytest.raises(AuthenticationUnavailableError, match="no password of bert was given"):
        credentials_for("web3")()


def test_a_file_that_is_named_counts_alone(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other.conf"
    other.write_text(FILE.replace("anna", "dora"))
    monkeypatch.setenv("LIBVIRT_AUTH_FILE", str(other))
    assert credentials_for("web1")().user == "dora"
    assert credentials_for("web1", None, str(file))().user == "anna"


def test_a_file_that_is_named_has_to_be_there(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AuthenticationError, match="none, which the address names, does not exist"):
        credentials_for("web1", "anna", str(tmp_path / "none"))()
    monkeypatch.setenv("LIBVIRT_AUTH_FILE", str(tmp_path / "other"))
    with pytest.raises(AuthenticationError, match="other, which LIBVIRT_AUTH_FILE names, does not exist"):
        credentials_for("web1")()
    assert credentials_for("web1", None, str(file))().user == "anna"


def test_a_file_that_makes_no_sense_is_named(file: Path) -> None:
    with pytest.raises(AuthenticationError, match=r"has no \[credentials-none\], which \[auth-libvirt-web2\] names"):
        credentials_for("web2")()
    file.write_text("no section")
    with pytest.raises(AuthenticationError, match="cannot be read"):
        credentials_for("web1")()


@pytest.mark.parametrize("text", ["password: hunter2\n", "[credentials-x]\nusername=anna\npassword: hunter2\n"])
def test_no_password_is_told_by_an_error(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(AuthenticationError, match=r"makes no sense in line \d$") as caught:
        credentials_for("host")()
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
    assert "hunter2" not in repr(Credential("anna", "hunter2"))
