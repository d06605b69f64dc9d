"""A program is followed with all that it begins, and what was refused to it is kept."""

import errno
import os
import signal
from functools import partial

import pytest

from insula.engine.explain import calltracer
from insula.engine.explain.calltracer import call_name, is_refusal, process_of
from insula.kernel.callfilter import AUDIT_NUMBERS
from insula.kernel.callnumbers import call_numbers
from tests.unit.engine.explain.failed import MACHINE
from tests.unit.engine.explain.traced import let_go, traced, waiting
from tests.waiting import until


def test_what_a_program_fails_by_is_kept_with_the_file_that_it_was_about() -> None:
    trace = traced("/bin/sh", "-c", "echo word > /dev/full || exit 3")
    assert trace.status is not None and os.waitstatus_to_exitcode(trace.status) == 3
    (call,) = [each for each in trace.calls if each.mattered]
    assert (call.name, call.errno, call.caller.program) == ("write", errno.ENOSPC, "sh")
    assert call.shown.startswith("write(1</dev/full>")
    assert [(each.path, each.kind, each.major, each.minor) for each in call.files] == [("/dev/full", "c", 1, 7)]
    assert call.caller.limit("NOFILE") and call.caller.descriptors >= 3


def test_what_its_children_are_refused_counts_too() -> None:
    trace = traced("/bin/sh", "-c", "(exec /bin/cat /dev/there-is-none 2>/dev/null) || exit 1")
    (call,) = [each for each in trace.calls if each.mattered]
    assert call.errno == errno.ENOENT and '"/dev/there-is-none"' in call.shown
    assert call.file() is not None and call.caller.program == "cat"


def test_everyday_failures_are_not_kept_and_a_success_has_no_reason() -> None:
    trace = traced("/bin/sh", "-c", "test -e /tmp/there-is-none; true")
    assert trace.status == 0 and not any(each.mattered for each in trace.calls)
    assert not any("there-is-none" in each.shown for each in trace.calls)


def test_failures_alike_are_counted() -> None:
    loop = "for i in 1 2 3; do echo word > /dev/full; done 2>/dev/null; exit 1"
    (call,) = [each for each in traced("/bin/sh", "-c", loop).calls if each.errno == errno.ENOSPC]
    assert call.times == 3


def test_no_more_are_kept_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calltracer, "CALLS_MAX", 1)
    trace = traced("/bin/sh", "-c", "cat /dev/a-1 /dev/a-2 2>/dev/null; exit 1")
    assert len(trace.calls) == 1 and "a-2" in trace.calls[0].shown and trace.overlooked == 1


def test_signals_reach_who_is_traced() -> None:
    trace = traced("/bin/sh", "-c", "trap 'exit 7' TERM; kill -TERM $$; sleep 100")
    assert trace.status is not None and os.waitstatus_to_exitcode(trace.status) == 7


def test_a_stopped_program_goes_on_when_it_is_told_to() -> None:
    script = "(sleep 0.2; kill -CONT $$) & kill -STOP $$; wait; exit 5"
    trace = traced("/bin/sh", "-c", script)
    assert trace.status is not None and os.waitstatus_to_exitcode(trace.status) == 5


def test_who_is_traced_goes_on_should_the_tracer_die() -> None:
    end, go = os.pipe()
    target = waiting(("/bin/sleep", "100"), end)
    tracer = os.fork()
    if tracer == 0:
        calltracer.CallTracer(target, os.getpid(), partial(let_go, go)).follow()
        os._exit(0)
    try:
        until(lambda: _comm(target) == "sleep\n" and _tracer_of(target) == tracer, "the program being traced")
        os.kill(tracer, signal.SIGKILL)
        os.waitpid(tracer, 0)
        until(lambda: _tracer_of(target) == 0, "nobody tracing it")
        assert os.path.exists(f"/proc/{target}")
    finally:
        os.kill(target, signal.SIGKILL)
        os.waitpid(target, 0)
        for each in (end, go):
            os.close(each)


def test_who_got_the_number_of_a_guests_process_is_let_go_untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calltracer, "is_below", lambda *_: False)
    end, go = os.pipe()
    target = waiting(("/bin/true",), end)
    tracer = os.fork()
    if tracer == 0:
        status = 1
        try:
            calltracer.CallTracer(target, os.getpid(), partial(let_go, go)).follow()
        except ProcessLookupError:
            status = 7
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(tracer, 0)[1]) == 7
    assert os.waitpid(target, os.WNOHANG) == (0, 0) and _tracer_of(target) == 0
    let_go(go)
    assert os.waitpid(target, 0)[1] == 0
    for each in (end, go):
        os.close(each)


def test_however_many_processes_fail_their_ends_take_no_more_room_than_what_is_kept() -> None:
    tracer = calltracer.CallTracer(1, 1, lambda: None)
    for pid in range(10 * calltracer.CALLS_MAX):
        tracer._keep_end(pid, 256)
    assert len(tracer._ends) <= 2 * calltracer.CALLS_MAX


def _comm(pid: int) -> str:
    with open(f"/proc/{pid}/comm") as file:
        return file.read()


def _tracer_of(pid: int) -> int:
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("TracerPid:"))


def test_calls_have_names_on_every_architecture_that_is_known() -> None:
    architecture = AUDIT_NUMBERS[MACHINE]
    assert call_name(architecture, call_numbers()["bpf"]) == "bpf"
    assert call_name(architecture, 99999) == ""
    assert call_name(0x1234, 1) == ""


def test_x32_has_no_names() -> None:
    assert call_name(AUDIT_NUMBERS["x86_64"], 0x40000000) == ""


def test_some_errors_are_refusals_of_some_calls_only() -> None:
    assert is_refusal("openat", errno.EPERM)
    assert is_refusal("clone", errno.EAGAIN) and not is_refusal("read", errno.EAGAIN)
    assert is_refusal("chown", errno.EINVAL) and not is_refusal("read", errno.EINVAL)


def test_a_thread_is_of_its_process() -> None:
    assert process_of(os.getpid()) == os.getpid()


def test_a_process_that_is_not_there_cannot_be_traced() -> None:
    with pytest.raises(ProcessLookupError):
        calltracer.CallTracer(1 << 30, 1, lambda: None).follow()
