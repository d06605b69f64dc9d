"""Who is to be traced says so, and waits; the kernel tells who it is."""

import errno
import os
import socket
import struct

import pytest

from insula.engine.steps.guest.tracing import BEGINS, GO, TRACER, AwaitTracer
from insula.errors import StepError
from tests.unit.engine.steps.guest.performing import guest, perform


def test_it_says_that_it_is_there_and_goes_on_at_a_word() -> None:
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    ours.send(GO)
    perform(guest(**{TRACER: os.dup(theirs.fileno())}), AwaitTracer(why="test"))
    word, ancillary, _, _ = ours.recvmsg(1, socket.CMSG_SPACE(12))
    assert (word, struct.unpack("iII", ancillary[0][2])[0]) == (BEGINS, os.getpid())
    ours.close()
    theirs.close()


def test_without_a_tracer_it_fails() -> None:
    ours, theirs = socket.socketpair()
    ours.shutdown(socket.SHUT_WR)
    with pytest.raises((StepError, OSError)) as failure:
        perform(guest(**{TRACER: os.dup(theirs.fileno())}), AwaitTracer(why="test"))
    assert getattr(failure.value, "errno", None) == errno.ESRCH
    ours.close()
    theirs.close()
