"""Why an operation was refused in a guest: a command is run there as any is, and traced by a look from outside."""

import asyncio
import errno
import socket
import struct
from collections import OrderedDict
from functools import partial
from typing import Any

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
from insula.service.containers import Looking, StandardStreams, WindowSize
from insula.service.guest import GuestVerbs, StartedProgram, require_alive
from insula.service.managed import ManagedDomain

REMEMBERED = 64
"""Traces that have ended and may still be asked about."""
_CREDENTIALS = struct.Struct("iII")


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
        before = await in_own_thread(partial(_read, container))
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
        self._guest.domain_of_executed(number)  # one that is forgotten is no domain's: who may ask is not known
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
        told = await in_own_thread(partial(_held, container, managed.name))
        require_alive(container)
        return told

    async def _explained(
        self, managed: ManagedDomain, container: Running, line: socket.socket, before: Any
    ) -> dict[str, Any]:
        with line:
            said = await self._traced(managed, container, line)
        return await in_own_thread(partial(_judged, container, managed.name, said, before))

    async def _traced(self, managed: ManagedDomain, container: Running, line: socket.socket) -> Any:
        name = f"domain '{managed.name}'"
        pid = await _announced(line)
        if pid not in await in_own_thread(container.group.processes):  # nobody is traced who is not the guest's
            raise OperationFailedError(f"what was to be traced in {name} has ended")
        sight = Sight(whose=f"{managed.uuid} as {pid} is traced", name=name)
        arguments = {"pid": pid, "init": container.pid}
        try:
            return await self._looker.look(sight, "trace-calls", arguments, {"line": line.fileno()}, seconds=None)
        except OSError as error:
            if error.errno == errno.EIO:
                raise OperationUnsupportedError(
                    "the host's kernel tells no tracer which system call it is (it does since Linux 5.3)"
                ) from error
            why = without_errno(str(error))
            raise OperationFailedError(f"what runs in {name} cannot be traced: {why}") from error


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


def _read(container: Running) -> Any:
    """Return what is counted now, for `judgement.judged` (thread)."""
    from insula.service.judgement import read_now  # only who explains pays for its tables

    return read_now(container)


def _judged(container: Running, name: str, said: Any, before: Any) -> dict[str, Any]:
    from insula.service.judgement import judged

    return judged(container, name, said, before)


def _held(container: Running, name: str) -> dict[str, Any]:
    from insula.service.judgement import held

    return held(container, name)
