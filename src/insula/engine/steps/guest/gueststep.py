"""The common ground of steps performed inside: they say which system calls they are."""

from dataclasses import dataclass

from insula.engine.program.builder import Builder
from insula.engine.steps.step import Step


@dataclass(frozen=True, kw_only=True, slots=True)
class GuestStep(Step):
    """A step performed inside, by a process that is about to become part of a guest.

    It has no reverse: when it fails, the process dies and its namespaces with it.
    """

    def compile(self, program: Builder) -> None:
        """Add what the step does. Raises: OSError, ValueError for what cannot be said."""
        raise NotImplementedError
