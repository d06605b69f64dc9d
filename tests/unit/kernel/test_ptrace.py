"""Tests of insula.kernel.ptrace; what it is for: tests/unit/engine/test_children.py, tests/unit/engine/dump."""

import contextlib
import errno
import os
import signal

import pytest

from insula.kernel.callnumbers import call_numbers
from insula.kernel.ptrace import (
    CallEntry,
    CallExit,
    RegisterSet,
    StopKind,
    TraceOption,
    call_at,
    detach,
    go_to_next_call,
    interrupt,
    next_stop,
    registers,
    seize,
    stopped,
)
from tests.waiting import until


def test_a_process_that_is_not_traced_is_not_let_go() -> None:
    with pytest.raises(ProcessLookupError):
        detach(os.getpid(), 0)


def test_a_process_that_is_traced_by_nobody_does_not_stop() -> None:
    with pytest.raises(ProcessLookupError):
        interrupt(os.getpid())
    with pytest.raises(ProcessLookupError, match="is traced no more"):
        stopped(1)


def test_the_registers_of_a_thread_that_stands_still_are_read() -> None:
    child = os.fork()
    if child == 0:
        signal.pause()
        os._exit(0)
    try:
        seize(child)
        assert stopped(child) is None
        interrupt(child)
        until(lambda: stopped(child) is not None, "its stop")
        general = registers(child, RegisterSet.GENERAL)
        assert any(general) and len(general) % 8 == 0
        assert registers(child, RegisterSet.FLOATING)
        detach(child, 0)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_traced_process_stops_at_each_call_and_tells_which_it_is() -> None:
    tracer = os.fork()
    if tracer == 0:
        os._exit(_calls_of_a_child())
    assert os.waitstatus_to_exitcode(os.waitpid(tracer, 0)[1]) == 0


def _calls_of_a_child() -> int:
    """Trace a child that closes what is not open; return 0 if that was seen, call, arguments, answer and end."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(reader, 1)
        with contextlib.suppress(OSError):
            os.close(9999)
        os._exit(3)
    seize(child, TraceOption.CALLS)
    interrupt(child)
    call: CallEntry | None = None
    seen = False
    while True:
        stop = next_stop()
        if stop.kind is StopKind.ENDED:
            return 0 if seen and os.waitstatus_to_exitcode(stop.detail) == 3 else 1
        if stop.kind is StopKind.INTERRUPTED:
            assert call_at(child) is None
            os.write(writer, b"!")
        if stop.kind is StopKind.CALL:
            at = call_at(child)
            if isinstance(at, CallEntry):
                call = at
            elif isinstance(at, CallExit) and call is not None and call.number == call_numbers()["close"]:
                seen |= call.arguments[0] == 9999 and at.errno == errno.EBADF
        go_to_next_call(child, stop.detail if stop.kind is StopKind.SIGNAL else 0)
