"""The root of a running guest: here the guest is a process of the test."""

import os
import subprocess
import sys

import pytest

from insula.engine.look.runningroot import account_inside, open_root


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


def test_a_user_is_looked_up_below_that_root() -> None:
    pidfd = os.pidfd_open(os.getpid())
    try:
        account = account_inside(os.getpid(), pidfd, "root", None)
    finally:
        os.close(pidfd)
    assert (account.uid, account.gid, account.name) == (0, 0, "root")
