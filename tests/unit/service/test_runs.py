"""A daemon killed at any instant leaves what its successor can take over: nothing lost, nothing left behind."""

import subprocess
import sys
from pathlib import Path

import pytest

STRIDE = 7
"""Every seventh change here; the system tests go through all of them."""


@pytest.mark.timeout(300)
def test_a_daemon_killed_before_any_change_to_the_file_system_is_succeeded_without_loss(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.service.killing", str(tmp_path), str(STRIDE)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 200, "the life has become too short to prove anything"
