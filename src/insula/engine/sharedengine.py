"""The engine that a program's containers share unless they are given another one: one keeper, however many there are.

It is made for the first container, and ends with the program, as every engine does. A fork of the program has none of
it; one whose keeper has died is replaced by the next container that starts.
"""

import os
import threading
import weakref

from insula.engine.embedded import Engine


class SharedEngine:
    """Has the engine once somebody needs one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._program = os.getpid()
        self._ending: weakref.finalize[..., SharedEngine] | None = None
        """Ends the engine with the program: after its containers, which are younger (weakref.finalize)."""

    def get(self) -> Engine:
        """Return the engine. Raises: as `Engine`."""
        with self._lock:
            if self._program != os.getpid():
                # A fork: what it has of the engine is its parent's.
                self._engine, self._program = None, os.getpid()
            if self._engine is not None and not self._engine.works:
                self._end()
            if self._engine is None:
                self._engine = Engine()
                self._ending = weakref.finalize(self, _end_with_program, self._engine, self._program)
            return self._engine

    def close(self) -> None:
        """End the engine, and with it every guest that is left; the next container makes another one."""
        with self._lock:
            if self._program == os.getpid():
                self._end()
            self._engine = None

    def _end(self) -> None:
        if self._ending is not None:
            self._ending.detach()
            self._ending = None
        if self._engine is not None:
            self._engine.close()
            self._engine = None


def _end_with_program(engine: Engine, program: int) -> None:
    if os.getpid() == program:
        engine.close()


SHARED_ENGINE = SharedEngine()
