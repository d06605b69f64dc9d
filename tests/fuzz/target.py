"""What is fuzzed: a reader of bytes that others write, where its inputs come from, and what must hold for each."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from random import Random
from types import TracebackType

One = Callable[[bytes], None]
"""Takes one input. Whatever it raises is a find: errors that are declared for the input it takes itself."""
Inputs = Callable[[Random], Callable[[], bytes]]
"""Given a source of chance, gives what makes one input after another."""

STALL = 0.05
"""Seconds of processor time that one input may take."""


class BrokenError(Exception):
    """Something was accepted, but what must hold for it does not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """One thing to be fuzzed.

    inputs: makes inputs; world: what they need around them, and what takes them. count: inputs of the short run.
    stall: seconds of processor time that one may take. frames: how many units an input holds, where that is of
    interest. enclosed: it needs the tests' enclosure, and so root; the short run is among the system tests then.
    """

    name: str
    inputs: Inputs
    world: Callable[[], AbstractContextManager[One]]
    count: int
    stall: float = STALL
    units: Callable[[bytes], int] = lambda data: 1
    enclosed: bool = False


def stateless(one: One) -> Callable[[], AbstractContextManager[One]]:
    """A world for what needs none."""

    @contextmanager
    def world() -> Iterator[One]:
        yield one

    return world


def place_of(error: BaseException) -> str:
    """Return an error's type and where it was raised: what makes two finds the same."""
    trace: TracebackType | None = error.__traceback__
    place = ""
    while trace is not None:
        place = f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"{type(error).__name__} at {place}" if not isinstance(error, BrokenError) else f"BrokenError: {error}"[:80]
