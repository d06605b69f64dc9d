"""Tests of insula.kernel.ptrace; what it is for: tests/unit/engine/test_children.py, tests/unit/engine/dump."""

import os
import signal

import pytest

from insula.kernel.ptrace import RegisterSet, detach, interrupt, registers, seize, stopped
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
