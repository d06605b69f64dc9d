"""`AsyncContainer`: a container for programs with an event loop, from the definition of `Container`.

    async with AsyncContainer(image="debian-12") as guest:
        done = await guest.run(["uname", "-n"], text=True)

Its verbs are those of `Container`, with their documentation: each is performed in a thread of its own, so that many
containers work at the same time, and the loop waits for none. Where something is waited for, it is the loop that waits,
and who is cancelled leaves nothing behind: a program that `run` has started is killed then. So limits of time are those
of asyncio: `async with asyncio.timeout(5): await guest.wait()`.

`open` and `enter` are left out: a file's object would block the loop at every line, and a fork of a program with
threads may hang. What is wanted of them is done with `guest.blocking`, in a thread or process of the caller's.
"""

import asyncio
import functools
import os
import subprocess
from collections.abc import Callable, Coroutine, Mapping, Sequence
from types import TracebackType
from typing import Any, Concatenate, Literal, ParamSpec, Self, TypeVar, cast, overload

from insula.engine.container import Container
from insula.engine.containerbasis import ContainerBasis
from insula.engine.enter.asyncguestprocess import AsyncGuestProcess
from insula.engine.enter.guestprocess import DEVNULL, Stream, TextForm
from insula.engine.exitstatus import ExitStatus
from insula.engine.guestinit import PowerAction
from insula.engine.insideverbs import ProgramRun
from insula.engine.readiness import until_readable
from insula.engine.threads import in_own_thread

P = ParamSpec("P")
T = TypeVar("T")


def _awaited(
    verb: Callable[Concatenate[Container, P], T],
) -> Callable[Concatenate["AsyncContainer", P], Coroutine[Any, Any, T]]:
    """Return the verb as a method that is awaited."""

    async def method(self: "AsyncContainer", /, *positional: P.args, **named: P.kwargs) -> T:
        return await in_own_thread(functools.partial(verb, self.blocking, *positional, **named))

    return cast("Callable[Concatenate[AsyncContainer, P], Coroutine[Any, Any, T]]", functools.wraps(verb)(method))


class AsyncContainer(ContainerBasis):
    """A system container whose verbs are awaited; described as `Container` is.

    Used as an asynchronous context manager it is started on entry and destroyed on exit.
    """

    @functools.cached_property
    def blocking(self) -> Container:
        """The same container, for threads."""
        return Container.over(self._life)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await asyncio.shield(asyncio.ensure_future(self.destroy()))

    start = _awaited(Container.start)
    destroy = _awaited(Container.destroy)
    put = _awaited(Container.put)
    get = _awaited(Container.get)
    output = _awaited(Container.output)
    signal = _awaited(Container.signal)
    freeze = _awaited(Container.freeze)
    thaw = _awaited(Container.thaw)
    stats = _awaited(Container.stats)
    limits = _awaited(Container.limits)
    limit = _awaited(Container.limit)
    control_file = _awaited(Container.control_file)
    set_control_file = _awaited(Container.set_control_file)
    attach_mount = _awaited(Container.attach_mount)
    detach_mount = _awaited(Container.detach_mount)
    renew_mount = _awaited(Container.renew_mount)
    attach_device = _awaited(Container.attach_device)
    detach_device = _awaited(Container.detach_device)
    attach_interface = _awaited(Container.attach_interface)

    detach_interface = _awaited(Container.detach_interface)

    replug_interface = _awaited(Container.replug_interface)

    configure_link = _awaited(Container.configure_link)

    async def wait(self) -> ExitStatus:
        """Return how it ended, once it has; nothing of it is left then."""
        ending = self._life.ending()
        if ending is not None:
            try:
                await until_readable(ending)
            finally:
                os.close(ending)
        return await in_own_thread(self.blocking.wait)

    async def shutdown(self, action: PowerAction = PowerAction.POWEROFF) -> ExitStatus:
        """Ask the guest's init to end, in its own way, and return how it did, however long that takes.

        Raises: OperationFailedError if this init cannot be asked.
        """
        await in_own_thread(functools.partial(self.blocking.ask_init, action))
        return await self.wait()

    @overload
    async def run(
        self,
        argv: Sequence[str],
        *,
        input: bytes | None = None,
        text: Literal[False] = False,
        check: bool = False,
        env: Mapping[str, str] | None = None,
        cwd: str = "/",
        user: str | None = None,
    ) -> "subprocess.CompletedProcess[bytes]": ...
    @overload
    async def run(
        self,
        argv: Sequence[str],
        *,
        input: str | None = None,
        text: Literal[True],
        encoding: str = "utf-8",
        errors: str = "strict",
        check: bool = False,
        env: Mapping[str, str] | None = None,
        cwd: str = "/",
        user: str | None = None,
    ) -> "subprocess.CompletedProcess[str]": ...
    async def run(
        self,
        argv: Sequence[str],
        *,
        input: str | bytes | None = None,  # noqa: A002 - subprocess.run's own name for it
        text: bool = False,
        encoding: str = "utf-8",
        errors: str = "strict",
        check: bool = False,
        env: Mapping[str, str] | None = None,
        cwd: str = "/",
        user: str | None = None,
    ) -> "subprocess.CompletedProcess[Any]":
        """Run a program inside to its end, as `Container.run` does; if the task is cancelled, the program is killed."""
        job = ProgramRun.of(argv, input, TextForm(encoding, errors) if text else None)
        begin = functools.partial(self.blocking.begin, job.argv, job.wishes, env=env, cwd=cwd, user=user)
        process = await in_own_thread(begin)
        try:
            return await in_own_thread(functools.partial(job.outcome, process, None, check=check))
        except asyncio.CancelledError:
            process.kill()
            raise

    async def popen(
        self,
        argv: Sequence[str],
        *,
        stdin: Stream = DEVNULL,
        stdout: Stream = None,
        stderr: Stream = None,
        env: Mapping[str, str] | None = None,
        cwd: str = "/",
        user: str | None = None,
    ) -> AsyncGuestProcess:
        """Start a program inside and return its handle, as `asyncio.create_subprocess_exec` does.

        With PIPE, its ends here are streams of asyncio's.
        """
        start = functools.partial(
            self.blocking.popen, argv, stdin=stdin, stdout=stdout, stderr=stderr, env=env, cwd=cwd, user=user
        )
        return await AsyncGuestProcess.of(await in_own_thread(start))
