"""A step for who enters only to be watched: it waits until its tracer is there."""

import errno
from dataclasses import dataclass
from typing import ClassVar

from insula.engine.program.builder import Builder
from insula.engine.steps.guest.gueststep import GuestStep

TRACER = "tracer"
"""The name by which the line to who has it traced is passed."""
BEGINS, GO = b"!", b"."


@dataclass(frozen=True, kw_only=True, slots=True)
class AwaitTracer(GuestStep):
    """Say on a line that there is somebody to be traced, and wait there for a word.

    The line is a socket, whose other end is told by the kernel who has spoken: SO_PASSCRED in unix(7).
    """

    phrase: ClassVar[str] = "wait to be traced"

    def compile(self, program: Builder) -> None:
        line = program.passed(TRACER)
        program.write(line, BEGINS.decode())
        means = "who was to trace it is not there"
        program.call("read", line, program.room(1), 1, wanted=1, means=means, code=errno.ESRCH)
        program.close(line)
