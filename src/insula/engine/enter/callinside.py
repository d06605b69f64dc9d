"""A Python function performed inside a running container, in a fork of the calling program.

    caller                          guide                          caller
      │ fork ──────────────────────►│ joins the container's groups
      │                             │ enters its PID namespace
      │                             │ fork ───────────────────────►│ enters the other namespaces
      │                             │                              │ confined as the container's init is
      │◄──────────────── result, or error, as JSON ────────────────│ performs the function
      │                             │◄───────────── ends ──────────│

The caller is our own program among processes that may be hostile. So it cannot be traced or looked into by them
(PR_SET_DUMPABLE); it is refused in containers without a user namespace, whose root could reach our interpreter's file
through it (the class of CVE-2019-5736); and what it says is read as JSON only, since a module that the function imports
late would be the guest's.
"""

import contextlib
import json
import os
import signal
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from insula.engine import codec
from insula.engine.enter.attachment import group_fds, namespaces_of
from insula.engine.launch.runningcontainer import Running
from insula.engine.policy.capabilities import default_kept
from insula.engine.policy.syscalls import filter_of, programs
from insula.errors import InvalidArgumentError, OperationFailedError, OperationUnsupportedError
from insula.kernel import landlock, privileges, seccomp
from insula.kernel.cgroups import join_all
from insula.kernel.fds import close_all, keep_only
from insula.kernel.process import NAMESPACE_FLAGS, CloneFlag, set_dumpable, setns
from insula.kernel.standardstreams import above_standard
from insula.relay.pump import Pump

_FAILED = 127


def call_inside(running: Running, function: Callable[..., Any], arguments: Sequence[Any] = ()) -> Any:
    """Perform function(*arguments) as root inside a container, and return its result, which must be JSON-able.

    It starts with the working directory `/` of the guest, and shares nothing with us but copies: all fds are closed,
    and its standard streams are relayed, since what it executes would hold them. Everything it needs must be imported
    before.
    Raises: OperationFailedError with the type and text of what the function raised, or saying how the caller died;
    InvalidArgumentError for a result that JSON cannot hold; OperationUnsupportedError for a privileged container.
    """
    spec = running.record.spec
    if spec.idmap is None:
        raise OperationUnsupportedError(
            f"'{running.name}' has no user namespace, so its root could reach our own program: run a program instead"
        )
    filters = programs(filter_of(spec))
    pump = Pump((0, 1, 2))
    reading, writing = os.pipe2(os.O_CLOEXEC)
    guide = os.fork()
    if guide == 0:
        _guide(running, filters, pump.passed, writing, function, arguments)
    pump.start()
    os.close(writing)
    try:
        with open(reading, "rb") as answers:
            said = answers.read()
        status = os.waitstatus_to_exitcode(os.waitpid(guide, 0)[1])
        pump.finish()
    finally:
        pump.close()
    return _understood(said, status)


def _guide(
    running: Running,
    filters: Sequence[bytes],
    streams: Sequence[int],
    channel: int,
    function: Callable[..., Any],
    arguments: Sequence[Any],
) -> NoReturn:
    """Lead the way in, and end as the caller does."""
    try:
        set_dumpable(False)
        for number, fd in enumerate([above_standard(each) for each in streams]):
            os.dup2(fd, number)
        keep_only((channel, running.pidfd))
        groups = group_fds(running.group)
        join_all(groups)
        close_all(groups.values())
        setns(running.pidfd, CloneFlag.NEWPID)
        caller = os.fork()
        if caller == 0:
            _visitor(running, filters, channel, function, arguments)
        os.close(channel)
        _end_as(os.waitpid(caller, 0)[1])
    except BaseException as error:
        _say(channel, {"error": f"cannot enter: {error}"})
        os._exit(_FAILED)


def _visitor(
    running: Running, filters: Sequence[bytes], channel: int, function: Callable[..., Any], arguments: Sequence[Any]
) -> NoReturn:
    try:
        _become_guest(running, filters, channel)
    except BaseException as error:
        _say(channel, {"error": f"cannot enter: {error}"})
        os._exit(_FAILED)
    try:
        _say(channel, {"result": function(*arguments)})
    except TypeError as error:
        _say(channel, {"type": f"{error}"} if "JSON" in str(error) else {"error": f"TypeError: {error}"})
    except BaseException as error:
        _say(channel, {"error": f"{type(error).__name__}: {error}"})
    os._exit(0)


def _become_guest(running: Running, filters: Sequence[bytes], channel: int) -> None:
    spec = running.record.spec
    kinds = CloneFlag.NOTHING
    for kind in namespaces_of(spec):
        kinds |= NAMESPACE_FLAGS[kind.value]
    setns(running.pidfd, kinds)
    # A link of the guest's to /proc/self/fd would lead the function into any directory that we have open.
    keep_only((channel,))
    os.setresgid(0, 0, 0)
    os.setgroups([])
    os.setresuid(0, 0, 0)
    # A change of ids makes a process dumpable again: proc_pid_coredump_filter(5), PR_SET_DUMPABLE.
    set_dumpable(False)
    os.chdir("/")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    if spec.network_share is not None and landlock.scopes_sockets():
        landlock.give_up(landlock.LandlockScope.ABSTRACT_UNIX_SOCKET)
    for program in filters:
        seccomp.load(program)
    privileges.keep_only(spec.capabilities if spec.capabilities is not None else default_kept(privileged=False))


def _say(channel: int, answer: dict[str, Any]) -> None:
    data = memoryview(json.dumps(answer).encode())
    with contextlib.suppress(BrokenPipeError):
        while data:
            data = data[os.write(channel, data) :]


def _end_as(status: int) -> NoReturn:
    """End with another process's exit status; a signal becomes 128 and its number, as in shells."""
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)


def _understood(said: bytes, status: int) -> Any:
    try:
        answer = codec.loads(said)
    except ValueError:
        raise OperationFailedError(f"the function ended without a result, with status {status}") from None
    if not isinstance(answer, dict):
        raise OperationFailedError("the function's answer cannot be understood")
    if "type" in answer:
        raise InvalidArgumentError(f"the function's result cannot be brought out: {answer['type']}")
    if "error" in answer:
        raise OperationFailedError(f"inside the container: {answer['error']}")
    return answer.get("result")
