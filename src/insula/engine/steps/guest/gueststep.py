"""The common ground of steps performed inside: what they work on."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from insula.engine.steps.step import Step
from insula.kernel.fds import NO_FD, Fd

Tell = Callable[[dict[str, Any], dict[str, int]], None]
"""Sends a message with fds to the keeper."""


class ChildContext:
    """What a process that is about to become part of a guest has in hands.

    fds: what was passed or made, by name; channel: leads to the keeper, until the program runs; terminals: masters of
    the terminals it made, to be handed back; root: the root to be, set by AttachRoot; home: of the user it became;
    tell: for what others wait for.
    """

    __slots__ = ("channel", "fds", "home", "root", "tell", "terminals")

    def __init__(self, fds: dict[str, Fd], tell: Tell, channel: Fd = NO_FD) -> None:
        self.fds = fds
        self.tell = tell
        self.channel = channel
        self.root = NO_FD
        self.terminals: list[Fd] = []
        self.home = "/"


@dataclass(frozen=True, kw_only=True, slots=True)
class GuestStep(Step):
    """A step performed inside. It has no reverse: when it fails, the process dies and its namespaces with it."""

    def perform(self, context: ChildContext) -> None:
        """Do it. Raises: OSError."""
        raise NotImplementedError
