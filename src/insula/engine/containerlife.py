"""The life of a `Container`: its ids, its engine, its beginning and its end, whichever thread asks for them."""

import os
import threading
import weakref
from dataclasses import replace

from insula.engine.embedded import Engine
from insula.engine.exitstatus import ExitStatus
from insula.engine.facts import Facts
from insula.engine.guestroot import looked_through
from insula.engine.idreservation import IdReservation, reserve_ids
from insula.engine.launch.runningcontainer import Running
from insula.engine.look.looking import Sight
from insula.engine.spec import ContainerSpec
from insula.errors import OperationInvalidError
from insula.kernel.process import has_ended


class ContainerLife:
    """One container's runs, one after the other.

    spec: what will be, or was, launched; needs_ids: its id map is chosen at the start; engine: a given one, else one is
    made, and ended with the container; status: how the last run ended, None before that was seen.
    """

    def __init__(self, spec: ContainerSpec, *, needs_ids: bool, engine: Engine | None) -> None:
        self.spec = spec
        self.status: ExitStatus | None = None
        self._needs_ids = needs_ids
        self._reservation: IdReservation | None = None
        self._given_engine = engine
        self._engine: Engine | None = engine
        self._running: Running | None = None
        self._leftover: weakref.finalize[..., ContainerLife] | None = None
        self._turning = threading.RLock()
        """Held while it begins or ends: several threads may wait for the end, and one clears up."""

    @property
    def runs(self) -> bool:
        """Whether the guest's init lives, paused or not."""
        running = self._running
        return running is not None and running.status is None and not has_ended(running.pidfd)

    @property
    def sight(self) -> Sight:
        """Where to look for its files."""
        return Sight(whose=self.spec.uuid, name=f"'{self.spec.name}'")

    def facts(self) -> Facts:
        """Return the facts of the engine that it has, else those that one would find."""
        return Facts.detect() if self._engine is None else self._engine.facts

    def start(self, *, paused: bool) -> None:
        """See `Container.start`."""
        with self._turning:
            if self.runs:
                raise OperationInvalidError(f"'{self.spec.name}' runs already")
            if self._running is not None:
                self.wait()
            engine = self.engine()
            self.status = None
            try:
                self.spec = self.settled()
                running = self._running = engine.launch(self.spec, paused=paused)
            except BaseException:
                self._let_go()
                raise
            self._leftover = weakref.finalize(self, _end_leftover, engine, running, os.getpid())

    def wait(self, timeout: float | None = None) -> ExitStatus:
        """See `Container.wait`."""
        with self._turning:
            running = self._running
            if running is None:
                return self._last_status()
            engine = self.engine()
            pidfd = os.dup(running.pidfd) if running.status is None else None
        if pidfd is not None:
            try:
                engine.await_end(pidfd, timeout)
            finally:
                os.close(pidfd)
        with self._turning:
            if self._running is running:
                self._ended(engine.destroy(running))
            return running.status or self._last_status()

    def destroy(self) -> ExitStatus | None:
        """See `Container.destroy`."""
        with self._turning:
            if self._running is not None:
                self._ended(self.engine().destroy(self._running))
            self._let_go()
            return self.status

    def engine(self) -> Engine:
        """Return the engine it was given, or its own."""
        if self._engine is None:
            self._engine = Engine()
        return self._engine

    def settled(self) -> ContainerSpec:
        """Return the spec with what is found or chosen at a start: what its root tells, and its ids."""
        if not self._needs_ids:
            return looked_through(self.spec)
        if self._reservation is None:
            self._reservation = reserve_ids()
        return looked_through(replace(self.spec, idmap=self._reservation.idmap))

    def alive(self) -> Running:
        """Return what runs. Raises: OperationInvalidError if nothing does."""
        if self._running is None:
            raise OperationInvalidError(f"'{self.spec.name}' does not run")
        return self._running

    def end_of_process(self, name: str, pidfd: int, timeout: float | None) -> int | None:
        """Return the wait status of a process that was started inside, once it has ended."""
        engine = self.engine()
        status = engine.end_of(name, pidfd, timeout)
        engine.do(engine.launcher.teardown.forget_execution(name))
        return status

    def _ended(self, status: ExitStatus) -> ExitStatus:
        if self._leftover is not None:
            self._leftover.detach()
        self._running = None
        self.status = status
        return status

    def _last_status(self) -> ExitStatus:
        if self.status is None:
            raise OperationInvalidError(f"'{self.spec.name}' does not run")
        return self.status

    def _let_go(self) -> None:
        """Give back the ids and the keeper."""
        if self._reservation is not None:
            self._reservation.close()
            self._reservation = None
        if self._engine is not None and self._given_engine is None:
            self._engine.close()
            self._engine = None


def _end_leftover(engine: Engine, running: Running, program: int) -> None:
    """End a container that its program has forgotten, when it is collected or the program ends; not in its forks."""
    if os.getpid() == program:
        engine.destroy(running)
