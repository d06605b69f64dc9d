"""What the machine booted by systemd promises to the tests that ask for it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.systemd_host


def output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_systemd_runs_the_host_with_nothing_failed() -> None:
    assert Path("/proc/1/comm").read_text() == "systemd\n"
    assert output("systemctl", "is-system-running") == "running\n"


@pytest.mark.requires("cgroup.unified", "cgroup2.memory", "cgroup2.cpu", "cgroup2.io", "cgroup2.pids", "cgroup2.cpuset")
def test_the_tests_run_in_a_group_delegated_to_them() -> None:
    unit = Path("/proc/self/cgroup").read_text().strip().removeprefix("0::/").rpartition("/")[2]
    assert output("systemctl", "show", "--property=Delegate", "--value", unit) == "yes\n"


@pytest.mark.requires("machined")
def test_machined_answers_and_knows_no_machine() -> None:
    assert output("machinectl", "list", "--no-legend") == ""


def test_an_enclosure_works_beside_systemd_on_a_host_of_pure_v2() -> None:
    """As on a developer's own machine: its group stands beside systemd's slices, and nothing is left."""
    environment = {**os.environ, "INSULA_TEST_ENCLOSURE": "everything", "INSULA_TEST_HOST": "unified"}
    before = sorted(os.listdir("/sys/fs/cgroup"))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/system/test_enclosure.py"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert sorted(os.listdir("/sys/fs/cgroup")) == before
    assert output("systemctl", "is-system-running") == "running\n"
