"""`Container`: a system container inside one program. No daemon, no configuration, nothing written down.

>>> from insula import Container
>>> with Container(root, name="web", init=["/bin/sleep", "1000"], ephemeral=True, memory=64 << 20) as guest:
...     guest.run(["hostname"], text=True).stdout
'web\\n'

`root` is the path of a directory with a root file system, here one with busybox in it.
"""

from dataclasses import replace
from types import TracebackType
from typing import Self

from insula.engine.containerbasis import ContainerBasis
from insula.engine.containerlife import ContainerLife
from insula.engine.exitstatus import ExitStatus
from insula.engine.fileverbs import FileVerbs
from insula.engine.guestinit import InitAnswer, PowerAction, Way
from insula.engine.insideverbs import InsideVerbs
from insula.engine.launch import limits
from insula.engine.runningverbs import RunningVerbs
from insula.engine.spec import Limits
from insula.errors import InvalidArgumentError, OperationFailedError
from insula.kernel.cgroups import GroupKey, HeldLimits, Stats
from insula.kernel.cgroups.groupkeys import is_limit


class Container(ContainerBasis, InsideVerbs, FileVerbs, RunningVerbs):
    """A system container, from its description to its end.

    root: a directory with a root file system, which the guest may change, or any `Root`. init: what is executed as the
    guest's process 1. ephemeral: leave the directory alone, and keep what the guest writes in memory until its end.
    image: instead of a root, the name of an image that `insula image build` has made; it is always left alone.

    ids: the host's ids that stand for the guest's; by default a free range is reserved while the container exists, and
    the files of root count as unshifted. privileged: no user namespace at all; for guests you trust with the host.

    memory: bytes; cpus: a list such as `0-1`; pids: tasks; `limits` has all there is; sysctls: settings of the
    guest's own namespaces, by sysctl(8)'s names. mounts, devices, interfaces and
    the other words are those of `ContainerSpec`.

    Used as a context manager it is started on entry and destroyed on exit. One that has ended may be started again.

        >>> job = Container(root, init=["/bin/sh", "-c", "exit 3"], ephemeral=True, pids=20)
        >>> job.start()
        >>> str(job.wait(timeout=30))
        'exited with 3'
        >>> job.destroy().code
        3
    """

    @classmethod
    def over(cls, life: ContainerLife) -> Self:
        """Return a handle on a container that another handle has described."""
        made = cls.__new__(cls)
        made._life = life
        return made

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.destroy()

    # Beginning and end

    def start(self, *, paused: bool = False) -> None:
        """Launch it, and return once its init is executed. paused: right before that, until `thaw`.

        Raises: StepError naming what failed, everything undone; OperationInvalidError if it runs already.
        """
        self._life.start(paused=paused)

    def wait(self, timeout: float | None = None) -> ExitStatus:
        """Return how it ended, once it has; nothing of it is left then. Raises: OperationTimeoutError.

        `out_of_memory` of what is returned tells whether that was for want of memory.
        """
        return self._life.wait(timeout)

    def shutdown(self, timeout: float = 60.0, action: PowerAction = PowerAction.POWEROFF) -> ExitStatus:
        """Ask the guest's init to end, in its own way, and return how it did.

        Raises: OperationFailedError if this init cannot be asked; OperationTimeoutError if it does not obey in time, or
        the guest's file system does not answer.
        """
        self.ask_init(action)
        return self.wait(timeout)

    def ask_init(self, action: PowerAction) -> None:
        """Ask the guest's init to end, and return at once. Raises: as `shutdown`."""
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

    def destroy(self) -> ExitStatus | None:
        """Kill whatever runs, and take away all that was made; return how the last run ended. May be called again."""
        return self._life.destroy()

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

    def stats(self) -> Stats:
        """Return what it has used so far, or had used when its last run ended.

        >>> with Container(root, init=["/bin/sleep", "1000"], ephemeral=True, memory=16 << 20) as guest:
        ...     guest.run(["sh", "-c", "x=12345678; while :; do x=$x$x; done"]).returncode
        -9
        >>> guest.stats().oom_kills
        1
        """
        return self._life.stats()

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

    def control_file(self, key: str) -> str:
        """Return what a control file of its group says, by the host's name of it, such as `memory.oom.group`.

        Raises: OSError: EINVAL for what names none of its group's files, EOPNOTSUPP for one that this host has not.
        """
        return self._life.alive().group.keys.read(key)

    def set_control_file(self, key: str, value: str | None) -> None:
        """Write a control file of its group; before it runs, have that done at its start. value: None for none.

            >>> guest = Container(root, init=["/bin/sleep", "1000"], ephemeral=True)
            >>> guest.set_control_file("cpuset.cpus", "0")
            >>> with guest:
            ...     guest.control_file("cpuset.cpus")
            '0'

        Raises: InvalidArgumentError for what is no limit's, or a value that the kernel refuses;
        OperationUnsupportedError for what this host has not.
        """
        if not is_limit(key):
            raise InvalidArgumentError(f"'{key}' is no control file of a limit, such as memory.oom.group")
        wanted = Limits(keys=(GroupKey(key=key, value=value),))
        if self._life.runs:
            limits.change_running(self._life.alive(), wanted)
        self._life.spec = replace(self._life.spec, limits=limits.merged(self._life.spec.limits, wanted))
