"""A process that stands for a guest's first one where systemd wants to see a process."""

import shutil
import subprocess

from insula.engine.launch.systemdscope import ScopeError

_PROGRAM = "cat"
"""Of every system's, and it ends with whoever holds the other end of what it reads."""


class Placeholder:
    """A process that does nothing, until it is ended or whoever made it has gone.

    Raises, when it is made: OSError; ScopeError if there is no program for it.
    """

    def __init__(self) -> None:
        program = shutil.which(_PROGRAM)
        if program is None:
            raise ScopeError(f"there is no program '{_PROGRAM}' to make it around")
        # A session of its own: what a terminal sends to its programs is not meant for it.
        self._process = subprocess.Popen(
            [program],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def lives(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """Begin to end it, which takes no waiting."""
        self._process.kill()

    def end(self) -> None:
        """End it, and wait for that."""
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
