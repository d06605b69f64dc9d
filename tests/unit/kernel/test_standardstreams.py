"""Tests of insula.kernel.standardstreams."""

import subprocess
import sys

import pytest

PROGRAM = """
import os, sys
from insula.kernel.standardstreams import occupy_standard_streams
occupy_standard_streams()
opened = os.open("/", os.O_RDONLY)
assert opened > 2, opened
for number in (0, 1, 2):
    os.get_inheritable(number) or os._exit(3)
sys.stdout.write("said\\n")
sys.stdout.flush()
sys.stderr.write("complained\\n")
sys.stdin.read()
"""


def run(redirection: str) -> "subprocess.CompletedProcess[str]":
    script = f'exec "$0" -c "$1" {redirection}'
    return subprocess.run(["sh", "-c", script, sys.executable, PROGRAM], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("redirection", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"])
def test_nothing_opened_later_takes_the_number_of_a_missing_stream(redirection: str) -> None:
    result = run(redirection)
    assert result.returncode == 0, result.stderr


def test_streams_that_are_there_stay_as_they_are() -> None:
    result = run("")
    assert (result.stdout, result.stderr) == ("said\n", "complained\n")
