"""The look lets go of who waits for it once it is traced, and tells what was refused."""

import json
import os
import socket

from insula.engine.codec import decode
from insula.engine.explain.refusedcall import Trace
from insula.engine.look.tracelook import trace_calls
from insula.engine.steps.guest.tracing import GO
from insula.kernel.fds import Fd
from tests.unit.engine.explain.traced import in_process


def test_a_waiting_program_is_traced_to_its_end() -> None:
    def work() -> Trace:
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            os._exit(125) if theirs.recv(1) != GO else os.execv("/bin/sh", ("sh", "-c", "echo a > /dev/full"))
        told = trace_calls({"pid": pid, "init": os.getpid()}, {"line": Fd(ours.fileno())})
        return decode(Trace, json.loads(json.dumps(told)))

    trace = in_process(work)
    assert [each.name for each in trace.calls if each.mattered] == ["write"]
