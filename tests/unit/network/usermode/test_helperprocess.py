"""Helpers are found by their names, theirs alone, and ended."""

import os
import subprocess
import sys

import pytest

from insula.errors import OperationFailedError
from insula.network.usermode.helperlauncher import HelperLaunch
from insula.network.usermode.helperprocess import end_helpers, helper_name, helpers_of, start_helper

LAUNCH, MAC = f"unit{os.getpid()}", "52:54:00:00:00:01"


def named(word: str) -> subprocess.Popen[bytes]:
    """Return a process whose command line begins with a word."""
    return subprocess.Popen([word, "-c", "import time; time.sleep(600)"], executable=sys.executable)


def test_a_launchs_helpers_are_ended_and_no_others() -> None:
    first, second = (named(f"{helper_name(LAUNCH, f'{MAC[:-1]}{each}')}/pasta") for each in "12")
    other = named(f"{helper_name(LAUNCH + '0', MAC)}/pasta")
    try:
        end_helpers(helper_name(LAUNCH, MAC))
        assert first.wait() == -9
        assert second.poll() is None
        end_helpers(helpers_of(LAUNCH))
        assert second.wait() == -9
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_helper_that_does_not_start_says_why_and_nothing_is_left() -> None:
    entered: list[int] = []
    launch = HelperLaunch(command=("/nowhere/pasta",), network=0, host=0, user=0)
    with pytest.raises(OperationFailedError, match="pasta does not start: "):
        start_helper(helper_name(LAUNCH, MAC), launch, entered.append)
    assert len(entered) == 1


def test_a_helper_is_not_begun_where_it_may_not_enter_its_group() -> None:
    def refuse(_pid: int) -> None:
        raise OSError("no such group")

    with pytest.raises(OSError, match="no such group"):
        start_helper(helper_name(LAUNCH, MAC), HelperLaunch(command=("x",), network=0, host=0, user=0), refuse)
