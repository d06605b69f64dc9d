"""Tests of insula.engine.steps.host.notifysocket."""

import os
import socket
import stat

from insula.engine.notices import read_notices
from insula.engine.steps.host.notifysocket import MakeNotifySocket
from tests.descriptors import open_fds
from tests.unit.engine.steps.host.sites import context, perform
from tests.unit.engine.steps.inchild import in_namespaces

STEP = MakeNotifySocket(why="test", name="notify", uid=0, gid=0)


def test_a_socket_is_shown_that_only_its_owner_may_send_to_and_its_other_end_is_held() -> None:
    def make() -> tuple[int, list[dict[str, str]], int]:
        before = len(open_fds())
        at = context()
        assert perform(STEP, at) == ()
        mode = os.fstat(at.fds["notify"]).st_mode
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"READY=1", f"/proc/self/fd/{at.fds['notify']}")
        said = [dict(each) for each in read_notices(at.notices, os.getpid())]
        at.close()
        return mode, said, len(open_fds()) - before

    mode, said, left = in_namespaces(make)
    assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o600
    assert said == [{"READY": "1"}]
    assert left == 0
