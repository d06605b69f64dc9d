"""Programs for hosts on which no process plays any: they say what a keeper would see of it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from insula.engine.launch.programs import Programs
from insula.engine.plan.plan import LaunchPlan
from insula.engine.program.image import HEADER, HEADER_SIZE, MAGIC
from insula.engine.program.program import Program
from insula.engine.spec import ContainerSpec
from insula.engine.steps.guest.gueststep import GuestStep


@dataclass(frozen=True, kw_only=True, slots=True)
class Performance:
    """What a keeper sees of a process. hold: it waits right before its init; consoles: how many it opens."""

    hold: bool = False
    consoles: int = 0

    @property
    def program(self) -> Program:
        """A program that says so behind its end, for a fake keeper."""
        said = json.dumps([self.hold, self.consoles]).encode()
        return Program(image=_nothing(said), passed=(), marks=(), meanings={})

    @staticmethod
    def of(image: bytes) -> "Performance":
        """Return what an image says."""
        hold, consoles = json.loads(image[HEADER_SIZE:] or b"[false, 0]")
        return Performance(hold=hold, consoles=consoles)


def _nothing(said: bytes) -> bytes:
    """Return the image of a program that does nothing, with something behind its end."""
    size = HEADER_SIZE + len(said)
    return HEADER.pack(MAGIC, size, 0, HEADER_SIZE, 0, HEADER_SIZE, -1, -1).ljust(HEADER_SIZE, b"\0") + said


class EmptyPrograms(Programs):
    """Compiles everything to nothing."""

    def start(self, spec: ContainerSpec, plan: LaunchPlan, *, permitted: int, hold: bool) -> Program:
        return Performance(hold=hold, consoles=spec.consoles + len(spec.channels)).program

    def entering(self, spec: ContainerSpec, steps: Sequence[GuestStep], *, permitted: int, most_groups: int) -> Program:
        return Performance().program
