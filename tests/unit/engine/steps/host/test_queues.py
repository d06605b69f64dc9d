"""Tests of insula.engine.steps.host.queues."""

import os
import subprocess

import pytest

from insula.engine.steps.host.queues import FetchQueues
from insula.kernel.fds import Fd
from tests.descriptors import open_fds
from tests.unit.engine.steps.host.sites import context, perform


@pytest.mark.requires("root")
def test_the_queues_are_those_of_the_very_namespace_that_the_child_is_in() -> None:
    command = ["unshare", "--ipc", "--mount", "--propagation", "private", "sh", "-c"]
    script = "mount -t mqueue mqueue /mnt && touch /mnt/theirs && echo made && exec sleep 1000"
    with subprocess.Popen([*command, script], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        try:
            assert child.stdout.readline() == "made\n"
            before = open_fds()
            at = context()
            at.process = Fd(os.open(f"/proc/{child.pid}", os.O_PATH | os.O_DIRECTORY))
            assert perform(FetchQueues(why="test", name="queues"), at) == ()
            assert os.listdir(f"/proc/self/fd/{at.fds['queues']}") == ["theirs"]
            at.close()
            assert open_fds() == before
        finally:
            child.kill()
