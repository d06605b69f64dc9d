"""Looking at what calls were about without ever waiting for the guest: its own file systems answer when they like.

Who walks into one (FUSE) cannot be killed before it answers. So a thread walks, and has a moment for it; one that is
held is left behind, and ends with the guest. From then on nothing of that trace's calls is looked at.
"""

import threading
from contextlib import suppress

from insula.engine.explain.filesight import CallSight

PATIENCE = 2.0
"""Seconds that the guest's file systems may take for one call: who is traced stands still meanwhile."""


class PatientSight:
    """Looks at the calls of one trace. silent: a file system of the guest's did not answer."""

    def __init__(self) -> None:
        self.silent = False

    def look(self, tid: int, name: str, arguments: tuple[int, ...]) -> CallSight:
        """Return a call's sight, with what could be seen in time."""
        sight = CallSight(tid, name, arguments)
        if self.silent:
            return sight

        def walk() -> None:
            with suppress(OSError, ValueError, KeyError):
                sight.look()

        walker = threading.Thread(target=walk, name="insula-sight", daemon=True)
        walker.start()
        walker.join(PATIENCE)
        self.silent = walker.is_alive()
        return sight
