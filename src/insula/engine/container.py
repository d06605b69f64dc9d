"""`Container`: a system container inside one program. No daemon, no configuration, nothing written down.

>>> from insula import Container
>>> with Container(root, name="web", init=["/bin/sleep", "1000"], ephemeral=True, memory=64 << 20) as guest:
...     guest.run(["hostname"]).stdout
b'web\\n'

`root` is the path of a directory with a root file system, here one with busybox in it.
"""

import os
import subprocess
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from insula.engine.containerlife import ContainerLife
from insula.engine.embedded import Engine
from insula.engine.enter.callinside import call_inside
from insula.engine.enter.guestprocess import DEVNULL, PIPE, GuestProcess, StandardStreams, Stream
from insula.engine.exitstatus import ExitStatus
from insula.engine.fileverbs import FileVerbs
from insula.engine.guestinit import InitAnswer, PowerAction, Way
from insula.engine.interfacespec import Interface, NetworkKind
from insula.engine.launch import limits
from insula.engine.plan import planner
from insula.engine.plan.plan import LaunchPlan
from insula.engine.runningverbs import RunningVerbs
from insula.engine.spec import (
    Bytes,
    ContainerSpec,
    Device,
    DirectoryRoot,
    IdMap,
    Limits,
    Mount,
    Process,
    Root,
    Seccomp,
    TmpfsRoot,
    command_words,
)
from insula.errors import InvalidArgumentError, OperationFailedError, OperationTimeoutError
from insula.kernel.cgroups import HeldLimits, Stats


class Container(RunningVerbs, FileVerbs):
    """A system container, from its description to its end.

    root: a directory with a root file system, which the guest may change, or any `Root`. init: what is executed as the
    guest's process 1. ephemeral: leave the directory alone, and keep what the guest writes in memory until its end.

    ids: the host's ids that stand for the guest's; by default a free range is reserved while the container exists, and
    the files of root count as unshifted. privileged: no user namespace at all; for guests you trust with the host.

    memory: bytes; cpus: a list such as `0-1`; pids: tasks; `limits` has all there is. mounts, devices, interfaces and
    the other words are those of `ContainerSpec`.

    Used as a context manager it is started on entry and destroyed on exit. One that has ended may be started again.

        >>> job = Container(root, init=["/bin/sh", "-c", "exit 3"], ephemeral=True, pids=20)
        >>> job.start()
        >>> str(job.wait(timeout=30))
        'exited with 3'
        >>> job.destroy().code
        3
    """

    def __init__(
        self,
        root: "str | os.PathLike[str] | Root",
        *,
        name: str | None = None,
        init: Sequence[str] = ("/sbin/init",),
        env: Mapping[str, str] | None = None,
        ephemeral: bool = False,
        ids: IdMap | None = None,
        privileged: bool = False,
        hostname: str | None = None,
        memory: int | None = None,
        cpus: str | None = None,
        pids: int | None = None,
        limits: Limits | None = None,
        mounts: Sequence[Mount] = (),
        devices: Sequence[Device] = (),
        network: NetworkKind = NetworkKind.PRIVATE,
        interfaces: Sequence[Interface] = (),
        consoles: int = 1,
        capabilities: frozenset[str] | None = None,
        seccomp: Seccomp | None = None,
        engine: Engine | None = None,
    ) -> None:
        if privileged and ids is not None:
            raise InvalidArgumentError("a container with ids of its own is not privileged: give it one of the two")
        identity = str(uuid.uuid4())
        wanted = limits or Limits()
        spec = ContainerSpec(
            name=name or f"insula-{identity[:8]}",
            uuid=identity,
            root=_root(root, ephemeral=ephemeral),
            init=Process(argv=command_words(init), env=tuple((env or {}).items())),
            hostname=hostname,
            idmap=ids,
            privileged=privileged,
            mounts=tuple(mounts),
            devices=tuple(devices),
            network=network,
            interfaces=tuple(interfaces),
            consoles=consoles,
            limits=replace(
                wanted,
                memory=wanted.memory if memory is None else Bytes(memory),
                cpus=wanted.cpus if cpus is None else cpus,
                pids=wanted.pids if pids is None else pids,
            ),
            capabilities=capabilities,
            seccomp=seccomp or Seccomp(),
        )
        self._life = ContainerLife(spec, needs_ids=ids is None and not privileged, engine=engine)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.destroy()

    def __repr__(self) -> str:
        state = f"running as {self.pid}" if self.running else str(self.status) if self.status else "not started"
        return f"<Container {self.name}: {state}>"

    # What it is

    @property
    def spec(self) -> ContainerSpec:
        """What will be, or was, launched; its id map is chosen at the start unless one was given."""
        return self._life.spec

    @property
    def name(self) -> str:
        return self._life.spec.name

    @property
    def uuid(self) -> str:
        return self._life.spec.uuid

    @property
    def running(self) -> bool:
        """Whether the guest's init lives, paused or not."""
        return self._life.runs

    @property
    def pid(self) -> int:
        """The host's pid of the guest's init. Raises: OperationInvalidError if it does not run."""
        return self._life.alive().pid

    @property
    def status(self) -> ExitStatus | None:
        """How the last run ended, None before its end was seen by `wait`, `shutdown` or `destroy`."""
        return self._life.status

    def plan(self) -> LaunchPlan:
        """Return what `start` would do, step by step with reasons; nothing happens."""
        return planner.plan(self._life.settled(), self._life.facts())

    # Beginning and end

    def start(self, *, paused: bool = False) -> None:
        """Launch it, and return once its init is executed. paused: right before that, until `thaw`.

        Raises: StepError naming what failed, everything undone; OperationInvalidError if it runs already.
        """
        self._life.start(paused=paused)

    def wait(self, timeout: float | None = None) -> ExitStatus:
        """Return how it ended, once it has; nothing of it is left then. Raises: OperationTimeoutError."""
        return self._life.wait(timeout)

    def shutdown(self, timeout: float = 60.0, action: PowerAction = PowerAction.POWEROFF) -> ExitStatus:
        """Ask the guest's init to end, in its own way, and return how it did.

        Raises: OperationFailedError if this init cannot be asked; OperationTimeoutError if it does not obey in time, or
        the guest's file system does not answer.
        """
        running = self._life.alive()
        init = self._life.spec.init
        arguments = {
            "pid": running.pid,
            "kind": self._life.spec.init_kind.value,
            "argv": list(init.argv),
            "actions": [action.value],
            "ways": [Way.ANY.value],
        }
        looker = self._life.engine().looker
        found = looker.look(self._life.sight, "ask-init", arguments, {"init": running.pidfd})
        answer = InitAnswer(found["answer"])
        if answer is not InitAnswer.ASKED:
            raise OperationFailedError(
                f"the init of '{self.name}' does not listen to a request for {action.value}: destroy it instead"
            )
        return self.wait(timeout)

    def destroy(self) -> ExitStatus | None:
        """Kill whatever runs, and take away all that was made; return how the last run ended. May be called again."""
        return self._life.destroy()

    # Inside

    def run(
        self,
        argv: Sequence[str],
        *,
        input: bytes | None = None,  # noqa: A002 - subprocess.run's own name for it
        timeout: float | None = None,
        check: bool = False,
        env: Mapping[str, str] | None = None,
        cwd: str = "/",
        user: str | None = None,
    ) -> "subprocess.CompletedProcess[bytes]":
        """Run a program inside to its end, and return its exit status, output and errors.

        user: a name or number of the guest's; root by default.

            >>> with Container(root, init=["/bin/sleep", "1000"], ephemeral=True) as guest:
            ...     done = guest.run(["sh", "-c", "tr a-z A-Z; exit 4"], input=b"hello", user="nobody")
            >>> done.returncode, done.stdout
            (4, b'HELLO')

        Raises: subprocess.CalledProcessError if check and it fails; OperationTimeoutError, and it is killed; StepError
        if it cannot be executed.
        """
        stdin = DEVNULL if input is None else PIPE
        with self.popen(argv, stdin=stdin, stdout=PIPE, stderr=PIPE, env=env, cwd=cwd, user=user) as process:
            try:
                output, errors = process.communicate(input, timeout)
            except OperationTimeoutError:
                process.kill()
                raise
        result = subprocess.CompletedProcess(list(argv), process.wait(), output, errors)
        if check:
            result.check_returncode()
        return result

    def popen(
        self,
        argv: Sequence[str],
        *,
        stdin: Stream = DEVNULL,
        stdout: Stream = None,
        stderr: Stream = None,
        terminal: tuple[int, int] | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str = "/",
        user: str | None = None,
    ) -> GuestProcess:
        """Start a program inside and return its handle, as `subprocess.Popen` does.

        terminal: rows and columns of a terminal inside, in the place of the three streams.
        """
        process = Process(argv=command_words(argv), env=tuple((env or {}).items()), cwd=cwd, user=user)
        running, engine = self._life.alive(), self._life.engine()
        if terminal is not None:
            executed = engine.do(engine.launcher.entrance.execute(running, process, terminal=terminal))
            return GuestProcess(executed, StandardStreams.of_terminal(executed.master), self._life.end_of_process)
        streams = StandardStreams(stdin, stdout, stderr)
        try:
            executed = engine.do(engine.launcher.entrance.execute(running, process, stdio=streams.theirs))
        except BaseException:
            streams.give_up()
            raise
        streams.hand_over()
        return GuestProcess(executed, streams, self._life.end_of_process)

    def enter(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Perform function(*arguments) inside, in a fork of this program, and return its JSON-able result.

        Import what it needs before: imports inside would find the guest's files. See `insula.engine.enter.callinside`.

            >>> import os
            >>> with Container(root, init=["/bin/sleep", "1000"], ephemeral=True) as guest:
            ...     "passwd" in guest.enter(os.listdir, "/etc")
            True
        """
        return call_inside(self._life.alive(), function, arguments)

    def output(self) -> list[bytes]:
        """Return what each console said since the last time it was asked, the latest 64 KiB."""
        self._life.alive()
        return self._life.engine().said(self.uuid)

    # Control

    def signal(self, number: int) -> None:
        """Send a signal to the guest's init."""
        running, engine = self._life.alive(), self._life.engine()
        engine.do(engine.launcher.signal(running, number))

    def freeze(self) -> None:
        """Stop every process; return when all stand still."""
        running, engine = self._life.alive(), self._life.engine()
        engine.do(engine.launcher.suspend(running))

    def thaw(self) -> None:
        """Let every process run again, or a container that was started paused for the first time."""
        running, engine = self._life.alive(), self._life.engine()
        engine.do(engine.launcher.resume(running))

    @property
    def frozen(self) -> bool:
        return self._life.alive().group.frozen

    def stats(self) -> Stats:
        """Return what it has used so far."""
        return self._life.alive().group.stats()

    def limits(self) -> HeldLimits:
        """Return the limits that the kernel holds for it now."""
        return self._life.alive().group.limits()

    def limit(self, wanted: Limits) -> None:
        """Change limits while it runs; those that are None stay.

            >>> from insula import Limits
            >>> with Container(root, init=["/bin/sleep", "1000"], ephemeral=True) as guest:
            ...     guest.limit(Limits(memory=32 << 20, cpu_shares=512))
            ...     guest.limits().memory, guest.limits().cpu_shares
            (33554432, 512)

        Raises: as `insula.engine.launch.limits.change`.
        """
        limits.change_running(self._life.alive(), wanted)


def _root(root: "str | os.PathLike[str] | Root", *, ephemeral: bool) -> Root:
    if isinstance(root, str | os.PathLike):
        path = os.path.abspath(root)
        return TmpfsRoot(lower=(path,)) if ephemeral else DirectoryRoot(path=path)
    if ephemeral:
        raise InvalidArgumentError("ephemeral goes with a directory: describe any other root by itself")
    return root
