"""The look lets go of who waits for it once it is traced, and tells what was refused."""

import json
import os
import socket
from dataclasses import replace

from insula.engine.codec import decode, encode
from insula.engine.explain.refusedcall import Trace
from insula.engine.look.looker import RESULT_MAX
from insula.engine.look.tracelook import fitting, trace_calls
from insula.engine.steps.guest.tracing import GO
from insula.kernel.fds import Fd
from tests.unit.engine.explain.failed import EPERM, failed
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


def test_a_trace_fits_into_an_answer_however_long_the_guests_texts_are() -> None:
    calls = [
        replace(failed("bpf", EPERM, mattered=each == 3), shown="\udcff" * 2000, order=each) for each in range(150)
    ]
    trace = fitting(Trace(status=256, calls=tuple(calls), overlooked=5))
    assert len(json.dumps(encode(trace))) < RESULT_MAX
    orders = [each.order for each in trace.calls]
    assert orders[0] == 3 and orders[1:] == list(range(151 - len(orders), 150)) and len(orders) > 2
    assert trace.overlooked == 155 - len(orders)


def test_what_fits_is_told_as_it_was() -> None:
    trace = Trace(status=0, calls=(failed("bpf", EPERM),))
    assert fitting(trace) == trace
