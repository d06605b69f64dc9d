"""Limits of a process that runs."""

import resource
import subprocess

import pytest

from insula.kernel import processlimits


def test_limits_are_told_by_name_and_no_end_as_none() -> None:
    with subprocess.Popen(["/bin/sleep", "1000"]) as process:
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (64, 128))
        resource.prlimit(process.pid, resource.RLIMIT_CPU, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        held = processlimits.held(process.pid)
        process.kill()
    assert held["nofile"] == (64, 128)
    assert held["cpu"] == (None, None)
    assert "ofile" not in held


def test_who_has_ended_has_none() -> None:
    with subprocess.Popen(["/bin/true"]) as gone:
        gone.wait()
    with pytest.raises(ProcessLookupError):
        processlimits.held(gone.pid)
