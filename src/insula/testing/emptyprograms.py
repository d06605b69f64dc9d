"""Programs that do nothing, for hosts on which no process plays any."""

from collections.abc import Sequence

from insula.engine.launch.programs import Programs
from insula.engine.program.image import HEADER, HEADER_SIZE, MAGIC
from insula.engine.program.program import Program
from insula.engine.spec import ContainerSpec
from insula.engine.steps.guest.gueststep import GuestStep

NOTHING = HEADER.pack(MAGIC, HEADER_SIZE, 0, HEADER_SIZE, 0, HEADER_SIZE, -1, -1).ljust(HEADER_SIZE, b"\0")
"""The image of a program that does nothing."""
EMPTY = Program(image=NOTHING, passed=(), marks=(), meanings={})


class EmptyPrograms(Programs):
    """Compiles whatever enters a container to nothing."""

    def entering(self, spec: ContainerSpec, steps: Sequence[GuestStep], *, permitted: int, most_groups: int) -> Program:
        return EMPTY
