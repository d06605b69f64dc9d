"""The root of a running guest: here the guest is a process of the test."""

import os
import subprocess
import sys

import pytest

from insula.engine.look.runningroot import open_root


def test_the_root_of_whoever_got_inits_pid_is_left_alone() -> None:
    program = subprocess.Popen([sys.executable, "-c", ""])
    pidfd = os.pidfd_open(program.pid)
    program.wait()
    try:
        # Whether somebody else has the pid by now, or nobody.
        for pid in (os.getpid(), program.pid):
            with pytest.raises(ProcessLookupError, match="the guest has ended"):
                open_root(pid, pidfd)
    finally:
        os.close(pidfd)
