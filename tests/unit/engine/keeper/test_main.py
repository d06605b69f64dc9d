"""The keeper's command line; the process itself is in tests/system/test_keeper.py."""

import socket
import subprocess
import sys

import pytest

from tests.waiting import patience


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "the keeper needs --listen-fd or --channel-fd"),
        (["--nonsense"], "the keeper has no option --nonsense"),
        (["--channel-fd", "x"], "invalid literal for int"),
        (["--channel-fd"], "pop from empty list"),
    ],
)
def test_a_command_line_that_makes_no_sense_ends_it_with_a_complaint(arguments: list[str], complaint: str) -> None:
    command = [sys.executable, "-I", "-m", "insula.engine.keeper.main", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=patience(30), check=False)
    assert ended.returncode == 1
    assert complaint in ended.stderr


def test_it_is_not_executed_from_a_view_that_can_be_written() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        fd = theirs.fileno()
        command = [sys.executable, "-I", "-m", "insula.engine.keeper.main", "--channel-fd", str(fd)]
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=patience(30), check=False, pass_fds=(fd,)
        )
    assert ended.returncode == 1
    assert "the keeper must be executed from a read-only view" in ended.stderr
