"""Why an operation was refused in a guest: a command is run there as any is, and traced by a look from outside."""

import asyncio
import contextlib
import errno
import os
import socket
import struct
from collections import OrderedDict
from collections.abc import Mapping
from functools import partial
from typing import Any

from insula.engine.codec import decode
from insula.engine.explain.confinementwords import confinement
from insula.engine.explain.guestconfinement import GuestConfinement, Readings
from insula.engine.explain.judging import explanation
from insula.engine.explain.refusedcall import Trace
from insula.engine.explain.verdict import Explanation
from insula.engine.launch.runningcontainer import Running
from insula.engine.look.looking import Sight
from insula.engine.readiness import until_readable
from insula.engine.spec import Process
from insula.engine.threads import in_own_thread
from insula.errors import (
    InvalidArgumentError,
    OperationFailedError,
    OperationUnsupportedError,
    StepError,
    without_errno,
)
from insula.kernel.cgroups.readings import stats
from insula.service.containers import Looking, StandardStreams, WindowSize
from insula.service.guest import GuestVerbs, StartedProgram, require_alive
from insula.service.managed import ManagedDomain

REMEMBERED = 64
"""Traces that have ended and may still be asked about."""
_CREDENTIALS = struct.Struct("iII")
_QUOTAS = "/proc/sys/user"


class ExplainVerbs:
    """Traces commands, and judges what was refused to them."""

    def __init__(self, *, guest: GuestVerbs, looker: Looking) -> None:
        self._guest = guest
        self._looker = looker
        self._traces: OrderedDict[int, asyncio.Task[dict[str, Any]]] = OrderedDict()

    async def execute(
        self,
        managed: ManagedDomain,
        process: Process,
        *,
        stdio: StandardStreams | None = None,
        terminal: WindowSize | None = None,
        capabilities: frozenset[str] | None = None,
        owner: object | None = None,
    ) -> StartedProgram:
        """Put a program into the guest as `GuestVerbs.execute` does, traced from its first instruction on.

        Raises: as that; OperationUnsupportedError where the kernel tells no tracer which call it is (before Linux 5.3);
        OperationFailedError if it cannot be traced.
        """
        container = managed.require_run().container
        before = await in_own_thread(partial(_readings, container))
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        tracing = asyncio.create_task(self._explained(managed, container, ours, before), name="trace a program")
        tracing.add_done_callback(_take_note)
        try:
            with theirs:
                started = await self._guest.execute(
                    managed,
                    process,
                    stdio=stdio,
                    terminal=terminal,
                    capabilities=capabilities,
                    owner=owner,
                    tracer=theirs.fileno(),
                )
        except BaseException as error:
            why = tracing.exception() if tracing.done() and not tracing.cancelled() else None
            tracing.cancel()
            if isinstance(error, StepError) and why is not None:
                raise why from error
            raise
        self._traces[started.id] = tracing
        while len(self._traces) > REMEMBERED:
            self._traces.popitem(last=False)
        return started

    def explained(self, number: int) -> "asyncio.Task[dict[str, Any]]":
        """Return what becomes the explanation of a program that was traced, which is forgotten here with that.

        Raises: InvalidArgumentError for one that was not.
        """
        found = self._traces.pop(number, None)
        if found is None:
            raise InvalidArgumentError(
                f"program {number} was not traced, or its explanation has been asked for already"
            )
        return found

    async def confinement(self, managed: ManagedDomain) -> dict[str, Any]:
        """Return what holds the guest, and how often it was refused something, as far as the kernel counts that.

        Raises: OperationInvalidError if it is off.
        """
        container = managed.require_run().container
        guest = await in_own_thread(partial(_guest_now, container, Readings()))
        require_alive(container)
        held = [
            {"layer": each.layer.value, "says": each.says, "change": each.change, "refused": each.refused}
            for each in confinement(guest)
        ]
        return {"domain": managed.name, "held_by": held}

    async def _explained(
        self, managed: ManagedDomain, container: Running, line: socket.socket, before: Readings
    ) -> dict[str, Any]:
        with line:
            trace = await self._traced(managed, container, line)
        guest = await in_own_thread(partial(_guest_now, container, before))
        told = [described(explanation(each, guest)) for each in trace.calls]
        return {"domain": managed.name, "status": trace.status, "refusals": told, "overlooked": trace.overlooked}

    async def _traced(self, managed: ManagedDomain, container: Running, line: socket.socket) -> Trace:
        name = f"domain '{managed.name}'"
        pid = await _announced(line)
        if pid not in await in_own_thread(container.group.processes):  # nobody is traced who is not the guest's
            raise OperationFailedError(f"what was to be traced in {name} has ended")
        sight = Sight(whose=f"{managed.uuid} as {pid} is traced", name=name)
        arguments = {"pid": pid, "init": container.pid}
        try:
            said = await self._looker.look(sight, "trace-calls", arguments, {"line": line.fileno()}, seconds=None)
        except OSError as error:
            if error.errno == errno.EIO:
                raise OperationUnsupportedError(
                    "the host's kernel tells no tracer which system call it is (it does since Linux 5.3)"
                ) from error
            why = without_errno(str(error))
            raise OperationFailedError(f"what runs in {name} cannot be traced: {why}") from error
        return decode(Trace, said)


def _take_note(tracing: "asyncio.Task[dict[str, Any]]") -> None:
    """See what a trace came to, though nobody asks for it."""
    if not tracing.cancelled():
        tracing.exception()


async def _announced(line: socket.socket) -> int:
    """Return the pid, ours, of who waits on a line to be traced. Raises: OperationFailedError if nobody does."""
    await until_readable(line.fileno())
    said, ancillary, _, _ = line.recvmsg(1, socket.CMSG_SPACE(_CREDENTIALS.size))
    for level, kind, data in ancillary:
        if said and level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
            return int(_CREDENTIALS.unpack(data)[0])
    raise OperationFailedError("the program ended before it could be traced")


def described(found: Explanation) -> dict[str, Any]:
    """Return an explanation as JSON values; texts in it may be the guest's."""
    call = found.call
    return {
        "call": call.shown,
        "name": call.name,
        "errno": errno.errorcode.get(call.errno, str(call.errno)),
        "error": os.strerror(call.errno),
        "pid": call.caller.pid,
        "program": call.caller.program,
        "times": call.times,
        "mattered": call.mattered,
        "certain": found.certain,
        "verdicts": [
            {
                "layer": each.layer.value,
                "evidence": each.evidence,
                "change": each.change,
                "advice": each.advice,
                "settle": each.settle,
            }
            for each in found.verdicts
        ],
    }


def _guest_now(container: Running, before: Readings) -> GuestConfinement:
    return GuestConfinement(
        spec=container.record.spec,
        filesystems=_filesystems(),
        readings=_since(before, _readings(container)),
        security_label=_label(container.pid),
    )


def _readings(container: Running) -> Readings:
    """Return what is counted now; nothing of a group that has gone (thread)."""
    try:
        read = stats(container.group)
    except OSError:
        return Readings(host_limits=_host_limits())
    return Readings(
        tasks=None if read.tasks is None else read.tasks.current,
        tasks_limit=None if read.tasks is None else read.tasks.limit,
        tasks_refused=0 if read.tasks is None else read.tasks.refused,
        memory=None if read.memory is None else read.memory.usage,
        memory_limit=None if read.memory is None else read.memory.limit,
        oom_kills=read.oom_kills,
        host_limits=_host_limits(),
    )


def _since(before: Readings, now: Readings) -> Readings:
    """Return readings that count what has happened since others."""
    return Readings(
        tasks=now.tasks,
        tasks_limit=now.tasks_limit,
        tasks_refused=now.tasks_refused - before.tasks_refused,
        memory=now.memory,
        memory_limit=now.memory_limit,
        oom_kills=now.oom_kills - before.oom_kills,
        host_limits=now.host_limits,
    )


def _host_limits() -> tuple[tuple[str, int], ...]:
    found: Mapping[str, int] = {}
    with contextlib.suppress(OSError):
        found = {each: _number(f"{_QUOTAS}/{each}") for each in sorted(os.listdir(_QUOTAS))}
    return tuple(found.items())


def _number(path: str) -> int:
    with open(path) as file:
        return int(file.read())


def _filesystems() -> frozenset[str]:
    """Return the file systems that the kernel has now: modules come and go."""
    with open("/proc/filesystems") as file:
        return frozenset(line.split()[-1] for line in file)


def _label(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/attr/current", "rb") as file:
            return file.read(4096).rstrip(b"\0\n").decode(errors="replace")
    except OSError:
        return ""
