"""Scopes of systemd's that stand ready before a container is in them.

systemd makes a scope around a process only, and that takes longer than all the rest of a start. So a scope is made
ahead, around a placeholder; a guest's first process is born into its group, the placeholder ends, and another scope is
made behind the start. A start that finds none ready waits for one of its own. A scope is never used twice: what an
administrator has set on one goes with its guest.

Whoever's scopes these are, with him his placeholders end, and systemd removes what is empty.
"""

import logging
import os
import secrets
import threading
import time
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass

from insula.engine.launch.machineregister import Machine
from insula.engine.launch.placeholder import Placeholder
from insula.engine.launch.systemdscope import Manager, Scope, Scopes
from insula.kernel.cgroups import Cgroup, Hierarchies
from insula.kernel.cgroups.names import escape_unit

logger = logging.getLogger(__name__)

IN_SCOPE = "insula"
"""The group below a systemd scope that is ours: what is the scope's own systemd sets anew whenever it reloads."""
_BESIDE = "placeholder"
"""The group that the placeholder waits in, out of the guest's limits and sight."""
_DELAY = 0.03
"""Seconds from a guest's start until the next scope is made, in which the start is answered."""
_IDLE = 5.0
"""Seconds without anything to do after which the thread ends."""
_MOST = 4
"""Slices that a scope stands ready in: those of the latest starts and definitions."""
_LAST_PATIENCE = 30.0
"""Seconds that the end of this process waits for a scope that is being made; its placeholder ends in any case."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadyScope:
    """A scope, of which nobody but its placeholder is in.

    unit: its name for systemd; slice: what it is in; group: ours below it, with all controllers.
    """

    unit: str
    slice: str
    group: Cgroup
    placeholder: Placeholder

    @property
    def usable(self) -> bool:
        """Whether nobody has ended it meanwhile."""
        return self.placeholder.lives and self.group.exists()

    def end(self) -> None:
        """End the placeholder; without a guest, systemd removes the scope then."""
        self.placeholder.end()
        mount = self.group.hierarchies.v2
        if mount is not None:
            with suppress(OSError):
                os.rmdir(f"{mount}/{os.path.dirname(self.group.path)}/{_BESIDE}")


class ReadyScopes:
    """Keeps a scope ready in each slice that was used lately. Any thread may call.

    scopes: makes them, over the kept connection; hierarchies: the host's.
    """

    def __init__(self, scopes: Scopes, hierarchies: Hierarchies) -> None:
        self._scopes = scopes
        self._hierarchies = hierarchies
        self._change = threading.Condition()
        self._ready: dict[str, ReadyScope] = {}
        """By slice, the one that was used longest ago first."""
        self._wanted: dict[str, float] = {}
        """When it is time to make one."""
        self._making: dict[str, Future[ReadyScope]] = {}
        """What is being made ahead, unless a start waits for it already."""
        self._done_with: deque[ReadyScope] = deque()
        self._thread: threading.Thread | None = None
        self._closed = False

    def take_at_once(self, slice_name: str) -> ReadyScope | None:
        """Return a scope that is ready, None if there is none; it is the caller's, for `give_back`."""
        with self._change:
            ready = self._ready.pop(slice_name, None)
        if ready is None or ready.usable:
            return ready
        self.give_back(ready)
        return None

    def take(self, slice_name: str) -> ReadyScope:
        """Return a scope, and wait until there is one. Raises: OSError, ScopeError; after half a minute."""
        ready = self.take_at_once(slice_name)
        if ready is not None:
            return ready
        with self._change:
            begun = self._making.pop(slice_name, None)
            self._wanted.pop(slice_name, None)
        return self._made(slice_name) if begun is None else begun.result()

    def give_back(self, taken: ReadyScope) -> None:
        """End the placeholder of a scope that its guest lives in, or that none will; another is made soon."""
        taken.placeholder.kill()
        with self._change:
            self._done_with.append(taken)
        self.prepare(taken.slice)

    def drop(self, unit: str) -> None:
        """Let go of a scope that stands ready, if it is one, as somebody stops it; none is made in its place."""
        with self._change:
            for slice_name, ready in self._ready.items():
                if ready.unit == unit:
                    ready.placeholder.kill()
                    self._done_with.append(self._ready.pop(slice_name))
                    self._change.notify_all()
                    return

    def register(self, machine: Machine, manager: Manager) -> None:
        """Have systemd know soon whose scope it is, as `Scopes.register`."""
        self._scopes.register(machine, manager)

    def prepare(self, slice_name: str) -> None:
        """Have a scope ready soon, if there is none; nobody waits for anything."""
        with self._change:
            if self._closed:
                return
            if slice_name not in self._ready and slice_name not in self._making:
                self._wanted.setdefault(slice_name, time.monotonic() + _DELAY)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="ready scopes", daemon=True)
                self._thread.start()
            self._change.notify_all()

    def close(self) -> None:
        """End what stands ready; nothing is made any more."""
        with self._change:
            self._closed = True
            self._wanted.clear()
            thread = self._thread
            self._change.notify_all()
        if thread is not None:
            thread.join(_LAST_PATIENCE)
        for each in self._left():
            self._end(each)

    def _end(self, used_up: ReadyScope) -> None:
        used_up.end()
        if self._hierarchies.v2 is None:
            return
        scope = Cgroup(self._hierarchies, os.path.dirname(used_up.group.path))
        with suppress(OSError):  # it goes just now
            if not scope.populated:
                self._scopes.look_after(scope)

    def _left(self) -> list[ReadyScope]:
        """Take what is to be ended: what is used up, more than may be ready, and at the end all."""
        with self._change:
            left = [*self._done_with]
            self._done_with.clear()
            while len(self._ready) > (0 if self._closed else _MOST):
                left.append(self._ready.pop(next(iter(self._ready))))
        return left

    def _work(self) -> None:
        while (due := self._next()) is not None:
            for each in self._left():
                self._end(each)
            if due:
                self._make_ahead(due)

    def _make_ahead(self, slice_name: str) -> None:
        promise: Future[ReadyScope] = Future()
        with self._change:
            if self._closed or slice_name in self._ready:
                return
            self._making[slice_name] = promise
        try:
            made = self._made(slice_name)
        except Exception as error:
            with self._change:
                self._making.pop(slice_name, None)
            promise.set_exception(error)
            # The next start meets, and tells, the same.
            logger.debug("no scope stands ready in %s: %s", slice_name, error)
            return
        with self._change:
            unclaimed, late = self._making.pop(slice_name, None) is not None, self._closed
            if unclaimed and not late:
                self._ready[slice_name] = made
        if not unclaimed:
            promise.set_result(made)
        elif late:  # nobody waits for it any more, not even `close`
            self._end(made)

    def _next(self) -> str | None:
        """Wait until there is something to do, and return the slice to make a scope in, empty for none.

        None, and the thread is over, if there was nothing for some time.
        """
        with self._change:
            while True:
                now = time.monotonic()
                for slice_name, due in self._wanted.items():
                    if due <= now:
                        del self._wanted[slice_name]
                        return slice_name
                if (self._done_with and not self._wanted) or len(self._ready) > _MOST:
                    return ""
                patience = min(self._wanted.values(), default=now + _IDLE) - now
                if self._closed or (not self._change.wait(patience) and not self._wanted):
                    self._thread = None
                    return None

    def _made(self, slice_name: str) -> ReadyScope:
        placeholder = Placeholder()
        try:
            scope = Scope(
                unit=f"machine-{escape_unit(f'insula-{secrets.token_hex(4)}')}.scope",
                slice=slice_name,
                leader=placeholder.pid,
            )
            path = self._scopes.await_leader(self._scopes.ask(scope))
            group = Cgroup.lay_out(self._hierarchies, f"{path}/{IN_SCOPE}")
            group.take_over(placeholder.pid, _BESIDE)
        except BaseException:
            placeholder.end()
            raise
        return ReadyScope(unit=scope.unit, slice=slice_name, group=group, placeholder=placeholder)
