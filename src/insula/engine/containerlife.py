"""The life of a `Container`: its ids, its engine, its beginning and its end, whichever thread asks for them."""

import os
import threading
import weakref
from contextlib import suppress
from dataclasses import replace

from insula.engine.embedded import Engine
from insula.engine.exitstatus import ExitStatus
from insula.engine.facts import Facts
from insula.engine.guestroot import looked_through
from insula.engine.idreservation import IdReservation, reserve_ids
from insula.engine.imageuse import ImageUse
from insula.engine.launch.runningcontainer import Running
from insula.engine.look.looking import Sight
from insula.engine.sharedengine import SHARED_ENGINE
from insula.engine.spec import ContainerSpec
from insula.errors import OperationInvalidError
from insula.kernel.cgroups import Stats
from insula.kernel.process import has_ended
from insula.layout import layout_from


class ContainerLife:
    """One container's runs, one after the other.

    spec: what will be, or was, launched; needs_ids: its id map is chosen at the start; image: the name of the one that
    it lies above, if any; engine: a given one, else the shared one; status: how the last run ended, None before that
    was seen.
    """

    def __init__(
        self, spec: ContainerSpec, *, needs_ids: bool, engine: Engine | None, image: str | None = None
    ) -> None:
        self.spec = spec
        self.status: ExitStatus | None = None
        self._needs_ids = needs_ids
        self._reservation: IdReservation | None = None
        self._image = image
        self._image_use: ImageUse | None = None
        self._given_engine = engine
        self._engine: Engine | None = engine
        self._last_stats: Stats | None = None
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
            self.status = self._last_stats = None
            try:
                if self._image is not None and self._image_use is None:
                    self._image_use = ImageUse(self._image, layout_from(None))
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
            pidfd = self.ending()
        if pidfd is not None:
            try:
                engine.await_end(pidfd, timeout)
            finally:
                os.close(pidfd)
        with self._turning:
            if self._running is running:
                self._end(engine, running)
            return running.status or self._last_status()

    def ending(self) -> int | None:
        """Return a pidfd that tells the end of what runs, the caller's to close; None if nothing does."""
        with self._turning:
            running = self._running
            return None if running is None or running.status is not None else os.dup(running.pidfd)

    def destroy(self) -> ExitStatus | None:
        """See `Container.destroy`."""
        with self._turning:
            if self._running is not None:
                self._end(self.engine(), self._running)
            self._let_go()
            return self.status

    def engine(self) -> Engine:
        """Return the engine it was given, or the shared one, the same as long as something runs."""
        if self._engine is None:
            self._engine = SHARED_ENGINE.get()
        return self._engine

    def settled(self, *, mounting: bool = True) -> ContainerSpec:
        """Return the spec with what is found or chosen at a start: what its root tells, and its ids.

        mounting: as `looked_through` has it.
        """
        if not self._needs_ids:
            return looked_through(self.spec, mounting=mounting)
        if self._reservation is None:
            self._reservation = reserve_ids()
        return looked_through(replace(self.spec, idmap=self._reservation.idmap), mounting=mounting)

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

    def stats(self) -> Stats:
        """Return what it has used so far, or had used at the end of its last run."""
        running = self._running
        if running is None:
            if self._last_stats is None:
                raise OperationInvalidError(f"'{self.spec.name}' does not run")
            return self._last_stats
        try:
            return running.group.stats()
        except OSError:
            if self._last_stats is None:
                raise
            return self._last_stats  # it has just been taken away

    def _end(self, engine: Engine, running: Running) -> None:
        """Kill what lives of a run, and take away what was made for it. Its figures are gone with its groups."""
        with suppress(OSError):
            self._last_stats = running.group.stats()
        status = engine.destroy(running)
        if self._last_stats is not None:
            status = running.status = replace(status, oom_kills=self._last_stats.oom_kills)
        if self._leftover is not None:
            self._leftover.detach()
        self._running = None
        self.status = status

    def _last_status(self) -> ExitStatus:
        if self.status is None:
            raise OperationInvalidError(f"'{self.spec.name}' does not run")
        return self.status

    def _let_go(self) -> None:
        """Give back the ids, the image and the keeper."""
        if self._image_use is not None:
            self._image_use.close()
            self._image_use = None
        if self._reservation is not None:
            self._reservation.close()
            self._reservation = None
        self._engine = self._given_engine


def _end_leftover(engine: Engine, running: Running, program: int) -> None:
    """End a container that its program has forgotten, when it is collected or the program ends; not in its forks."""
    if os.getpid() == program:
        engine.destroy(running)
