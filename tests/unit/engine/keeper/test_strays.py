"""Which of our children are killed for a channel, and which are not."""

import os
import signal
import socket
import subprocess

from insula.engine.keeper.strays import kill_holders
from tests.waiting import patience, stop


def test_only_children_that_have_that_end_of_the_channel_are_killed() -> None:
    ours, theirs = socket.socketpair()
    other = socket.socketpair()
    holder = subprocess.Popen(["sleep", "1000"], pass_fds=[theirs.fileno()])
    stranger = subprocess.Popen(["sleep", "1000"], pass_fds=[ours.fileno(), other[0].fileno()])
    kill_holders(os.fstat(theirs.fileno()).st_ino)
    assert holder.wait(timeout=patience(30)) == -signal.SIGKILL
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()
    for each in (ours, theirs, *other):
        each.close()


def test_one_that_stands_still_is_killed_too() -> None:
    ours, theirs = socket.socketpair()
    stopped = subprocess.Popen(["sleep", "1000"], pass_fds=[theirs.fileno()])
    stop(stopped.pid)
    kill_holders(os.fstat(theirs.fileno()).st_ino)
    assert stopped.wait(timeout=patience(30)) == -signal.SIGKILL
    for each in (ours, theirs):
        each.close()


def test_a_channel_that_nobody_has_is_no_error() -> None:
    kill_holders(0)
