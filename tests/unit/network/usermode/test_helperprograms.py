"""Which helper a card gets, and what is said where there is none."""

from pathlib import Path

import pytest

from insula.engine.interfacespec import UserHelper
from insula.errors import OperationUnsupportedError
from insula.network.usermode import helperprograms
from insula.network.usermode.helperprograms import installed_helper


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that all programs of the host are in."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(helperprograms, "_PLACES", str(tmp_path))
    return tmp_path


def install(programs: Path, *names: str) -> None:
    for each in names:
        (programs / each).write_text("")
        (programs / each).chmod(0o755)


def test_pasta_is_the_better_one_and_slirp4netns_serves_where_it_is_alone_or_the_guest_privileged(
    programs: Path,
) -> None:
    install(programs, "slirp4netns")
    assert installed_helper(None, privileged=False).helper is UserHelper.SLIRP4NETNS
    install(programs, "pasta")
    found = installed_helper(None, privileged=False)
    assert (found.helper, found.path) == (UserHelper.PASTA, str(programs / "pasta"))
    assert installed_helper(None, privileged=True).helper is UserHelper.SLIRP4NETNS
    assert installed_helper(UserHelper.SLIRP4NETNS, privileged=False).helper is UserHelper.SLIRP4NETNS


@pytest.mark.parametrize(
    ("wanted", "privileged", "complaint"),
    [
        (None, False, "no pasta nor slirp4netns.*install passt or slirp4netns"),
        (UserHelper.PASTA, False, "install passt$"),
        (None, True, "install slirp4netns$"),
        (UserHelper.PASTA, True, "remove <backend type='passt'/>"),
    ],
)
def test_a_host_without_it_is_told_what_to_install_or_choose(
    programs: Path, wanted: UserHelper | None, privileged: bool, complaint: str
) -> None:
    with pytest.raises(OperationUnsupportedError, match=complaint):
        installed_helper(wanted, privileged=privileged)
