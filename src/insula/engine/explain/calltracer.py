"""Following a program and all that it begins from one system call to the next, and keeping those that failed.

The kernel lets what is traced go on should its tracer die, at whatever instant; signals that were on their way arrive.
So who is traced loses nothing but time. Source: ptrace(2).
"""

import errno
import os
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from insula.engine.explain.callsignatures import signature_of, words, written
from insula.engine.explain.filesight import calling_process
from insula.engine.explain.patientsight import PatientSight
from insula.engine.explain.refusedcall import RefusedCall, Trace
from insula.engine.explain.weighing import weighed
from insula.kernel import ptrace
from insula.kernel.callfilter import AUDIT_NUMBERS
from insula.kernel.callnumbers import call_numbers
from insula.kernel.namespacetree import is_below
from insula.kernel.ptrace import CallEntry, StopKind, TraceOption, TraceStop

CALLS_MAX = 150
"""Kinds of failures that are kept: the latest."""
_OPTIONS = TraceOption.CALLS | TraceOption.FORKS | TraceOption.VFORKS | TraceOption.CLONES | TraceOption.EXECS
_X32_CALLS = 0x40000000
REFUSALS = frozenset(
    {
        errno.EPERM,
        errno.EACCES,
        errno.EROFS,
        errno.ENOSYS,
        errno.ENODEV,
        errno.ENXIO,
        errno.ENOSPC,
        errno.ENOMEM,
        errno.EOVERFLOW,
        errno.EMFILE,
        errno.ENFILE,
        errno.EDQUOT,
        errno.EUSERS,
        errno.EFBIG,
        errno.EAFNOSUPPORT,
        errno.EPROTONOSUPPORT,
        errno.ESOCKTNOSUPPORT,
        errno.ENOPROTOOPT,
        errno.EOPNOTSUPP,
    }
)
"""Errors with which something is refused, whoever asks."""
_OF_CALLS = {
    errno.EAGAIN: frozenset({"fork", "vfork", "clone", "clone3", "mlock", "mlock2", "mlockall", "setuid", "execve"}),
    errno.EINVAL: words("""
        chown chown32 fchown fchown32 fchownat lchown lchown32 setuid setuid32 setgid setgid32 setreuid setreuid32
        setregid setregid32 setresuid setresuid32 setresgid setresgid32 setgroups setgroups32 mount setns
        unshare clone clone3 reboot fsconfig move_mount write
        """),
    errno.ENOENT: frozenset({"setsockopt"}),
}
"""Errors that are refusals of some calls, and the everyday business of others."""
_DEVICES = ("/dev/", "/sys/", "/proc/sys/")
"""Below these, what is missing may be what a guest is not given."""


@dataclass(slots=True)
class _Thread:
    """One that is traced. call: the one that it is in; executed: whether a program of the guest's runs in it."""

    call: CallEntry | None = None
    executed: bool = False


class CallTracer:
    """Traces one program."""

    def __init__(self, pid: int, init: int, ready: Callable[[], None]) -> None:
        """pid: of a process that waits to be traced; init: the guest's first one, both by the host's numbers; ready:
        called once the program is traced."""
        self._pid = pid
        self._init = init
        self._ready = ready
        self._threads: dict[int, _Thread] = {}
        self._failed: OrderedDict[object, RefusedCall] = OrderedDict()
        self._pids: dict[int, int] = {}
        """What the guest calls the processes whose failures are kept."""
        self._ends: dict[int, int] = {}
        """Wait statuses, by the guest's pids, of those."""
        self._order = 0
        self._overlooked = 0
        self._sight = PatientSight()

    def follow(self) -> Trace:
        """Follow the program to its end; return what failed. Raises: OSError if it cannot be traced."""
        ptrace.seize(self._pid, _OPTIONS)
        self._require_of_guest()
        ptrace.interrupt(self._pid)
        self._threads[self._pid] = _Thread()
        self._take(ptrace.next_stop())
        self._ready()
        status = None
        while status is None:
            try:
                stop = ptrace.next_stop()
            except ChildProcessError:
                break
            self._take(stop)
            status = stop.detail if stop == (self._pid, StopKind.ENDED, stop.detail) else None
        calls = weighed(tuple(self._failed.values()), self._ends, status)
        return Trace(status=status, calls=calls, overlooked=self._overlooked, silent=self._sight.silent)

    def _require_of_guest(self) -> None:
        """Raises: OSError(ESRCH) if the number was another's before we held it: ours, and it is let go as we end."""
        namespace = os.open(f"/proc/{self._pid}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        try:
            if not is_below(namespace, f"/proc/{self._init}/ns/pid"):
                raise ProcessLookupError(errno.ESRCH, "what was to be traced has ended")
        finally:
            os.close(namespace)

    def _take(self, stop: TraceStop) -> None:
        with suppress(ProcessLookupError):
            self._answer(stop)

    def _answer(self, stop: TraceStop) -> None:
        tid = stop.tid
        if stop.kind is StopKind.ENDED:
            self._threads.pop(tid, None)
            if tid in self._pids:
                self._keep_end(self._pids.pop(tid), stop.detail)
            return
        thread = self._threads.setdefault(tid, _Thread(executed=True))
        if stop.kind is StopKind.PAUSED:
            ptrace.await_continuation(tid)
            return
        if stop.kind is StopKind.EXEC:
            thread.executed = True
        elif stop.kind is StopKind.CALL:
            self._see(tid, thread)
        ptrace.go_to_next_call(tid, stop.detail if stop.kind is StopKind.SIGNAL else 0)

    def _keep_end(self, pid: int, status: int) -> None:
        """Keep how a process ended, by the guest's pid, as long as a failure of it is kept."""
        self._ends[pid] = status
        if len(self._ends) > 2 * CALLS_MAX:
            kept = {each.caller.pid for each in self._failed.values()}
            self._ends = {each: status for each, status in self._ends.items() if each in kept}

    def _see(self, tid: int, thread: _Thread) -> None:
        at = ptrace.call_at(tid)
        if isinstance(at, CallEntry):
            thread.call = at
            return
        call, thread.call = thread.call, None
        if at is None or not at.errno or call is None or not thread.executed:
            return
        name = call_name(call.architecture, call.number)
        if is_refusal(name, at.errno) or (at.errno == errno.ENOENT and "path" in signature_of(name)):
            with suppress(OSError, ValueError, KeyError):
                self._keep(tid, call, name, at.errno)

    def _keep(self, tid: int, call: CallEntry, name: str, number: int) -> None:
        sight = self._sight.look(tid, name, call.arguments)
        everyday = not is_refusal(name, number)
        if everyday and not any(each.path.startswith(_DEVICES) for each in sight.files):
            return
        caller = calling_process(tid, self._init)
        shown = written(name, call.number, call.arguments, dict(sight.shown))
        self._pids[process_of(tid)] = caller.pid
        self._order += 1
        key = (caller.pid, shown, number)
        before = self._failed.pop(key, None)
        self._failed[key] = RefusedCall(
            name=name,
            architecture=call.architecture,
            number=call.number,
            arguments=call.arguments,
            errno=number,
            shown=shown,
            caller=caller,
            files=tuple(sight.files),
            texts=tuple(dict(sight.texts).items()),
            times=1 if before is None else before.times + 1,
            order=self._order,
        )
        if len(self._failed) > CALLS_MAX:
            self._failed.popitem(last=False)
            self._overlooked += 1


def is_refusal(name: str, number: int) -> bool:
    """Whether a call that fails so is refused, and not merely told that there is nothing."""
    return number in REFUSALS or name in _OF_CALLS.get(number, ())


def process_of(tid: int) -> int:
    """Return the process of a thread, both by the host's numbers. Raises: OSError."""
    with open(f"/proc/{tid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Tgid:"))


def call_name(architecture: int, number: int) -> str:
    """Return the name of a call's number, empty if it is not known."""
    kind = next((each for each, known in AUDIT_NUMBERS.items() if known == architecture), None)
    if kind is None or (kind == "x86_64" and number & _X32_CALLS):
        return ""
    try:
        return next((name for name, known in call_numbers(kind).items() if known == number), "")
    except OSError:
        return ""
