"""`python -m insula`."""

import subprocess
import sys

import insula


def test_it_is_the_command_line() -> None:
    command = [sys.executable, "-m", "insula"]
    told = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False)
    assert told.stdout.startswith(f"insula {insula.__version__}\n")
    wrong = subprocess.run([*command, "no-such-verb"], capture_output=True, text=True, check=False)
    assert (wrong.returncode, "'no-such-verb' is no verb" in wrong.stderr) == (2, True)
