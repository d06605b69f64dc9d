"""Taking memory from a guest that holds more than it is to have, in steps, as a balloon does in a virtual machine.

The balloon is blown up until what the guest holds fits; then the limit is set, as any other (`limits.change_running`),
and the balloon is let out: so nothing is killed for the limit. Let out without one, all is as it was.
"""

import errno
from collections.abc import Callable

from insula.engine.launch import limits
from insula.engine.spec import Bytes, Limits
from insula.errors import OperationAbortedError, OperationFailedError, ResourceBusyError
from insula.kernel.cgroups import Cgroup, Course

_LEAST_STEP = 4 << 20
_LARGEST_STEP = 64 << 20
"""Bytes; who gives the balloon up waits for one step."""
_STEPS = 32
_VAIN_ROUNDS = 24
"""With rests up to a second between them: a guest has half a minute to let go of something."""
_LONGEST_REST = 1.0
_MICROSECOND = 1e-6


class Balloon:
    """A guest's balloon. group: the guest's; memory: what it is to have; rest: waits so many seconds, and returns
    whether to give up; tell: is told the bytes that the guest holds, in whatever thread `inflate` runs."""

    def __init__(
        self, group: Cgroup, memory: Bytes, *, rest: Callable[[float], bool], tell: Callable[[int], None]
    ) -> None:
        self._group = group
        self._wanted = Limits(memory=memory)
        self._rest = rest
        self._tell = tell
        self._kills = self._group.oom_kills
        self.excess = max(0, self._group.memory.use(summary=True).usage - memory)
        """Bytes that the guest held above what it is to have, when this began."""
        self._shrinking = self._group.memory.shrinking(memory)

    def inflate(self) -> None:
        """Free the guest's memory until it holds no more than it is to have, and keep it so.

        Raises: ResourceBusyError, OperationFailedError that say what it holds; OperationAbortedError if rest says so.
        The balloon must be let out in any case.
        """
        group = self._group
        course = Course(
            step=min(_LARGEST_STEP, max(_LEAST_STEP, self.excess // _STEPS)),
            seconds=None,
            vain=_VAIN_ROUNDS,
            longest_rest=_LONGEST_REST,
            rest=self._rest,
            tell=self._looked_at,
            stalled=lambda: _stalled(group),
        )
        try:
            self._shrinking.shrink(course)
        except OSError as error:
            if error.errno == errno.ECANCELED:
                raise OperationAbortedError("taking memory from the guest was given up") from error
            if error.errno == errno.EBUSY:
                raise ResourceBusyError(
                    f"{error.strerror}; {limits.kinds(group.memory.use())}{_promise(group)}"
                ) from error
            raise OperationFailedError(f"cannot take memory from the guest: {error.strerror}") from error

    def let_out(self, *, limited: bool) -> None:
        """Let the guest take memory again. limited: up to its limit, which was set; else all is as it was.

        Raises: OSError.
        """
        self._shrinking.end(limited=limited)

    def _looked_at(self, used: int) -> None:
        """Tell how far it is, and give up where going on would drop caches in vain, or has killed."""
        killed = self._group.oom_kills - self._kills
        if killed:
            raise OperationFailedError(f"{killed} of the guest's programs were killed for want of memory meanwhile")
        limits.refuse_what_kills(self._group, self._wanted)
        self._tell(used)


def _promise(group: Cgroup) -> str:
    """Say what is kept from being taken, caches too; nothing where nothing is."""
    _, _, guarantee, _ = group.memory.held()
    return f"; {guarantee // 1024} KiB are guaranteed to it" if guarantee else ""


def _stalled(group: Cgroup) -> float:
    """Return for how many seconds in all every program of the guest waited for memory; 0 where nobody counts."""
    pressure = group.pressure("memory")
    return 0.0 if pressure is None else pressure.full.total * _MICROSECOND
