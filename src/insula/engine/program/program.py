"""A finished program: what is played, and what the daemon alone keeps of it."""

import os
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

from insula.engine.program.image import HEADER
from insula.errors import StepError


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """A step begins. index: of its first record; what: the step, or its words."""

    index: int
    what: object

    @property
    def step(self) -> str:
        """The step's words."""
        return str(self.what)


@dataclass(frozen=True, kw_only=True, slots=True)
class Meaning:
    """What a failed record says. text: `{error}` stands for the kernel's words; errno: in place of the kernel's; about:
    the path or the like that it is about."""

    text: str
    errno: int | None = None
    about: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """An image and its marks.

    passed: names of the fds that it receives, in their order; meanings: by index and errno of a failure, with errno
    None for any other.
    """

    image: bytes
    passed: tuple[str, ...]
    marks: tuple[Mark, ...]
    meanings: Mapping[tuple[int, int | None], Meaning]

    @property
    def records(self) -> int:
        """How many records it has."""
        return int(HEADER.unpack_from(self.image)[2])

    def failure(self, index: int, number: int) -> StepError:
        """Return the error of a failed record: its step and what the record's failure means."""
        meaning = self.meaning(index, number)
        position = bisect_right(self.marks, index, key=lambda mark: mark.index) - 1
        step = self.marks[position].step if position >= 0 else ""
        # What the step names already is not named again.
        text = f"{meaning.text}: {meaning.about}" if meaning.about not in ("", *step.split()) else meaning.text
        if position < 0:
            return StepError(text, errno=meaning.errno or 0)
        return StepError(f"cannot {step}: {text}", step=step, errno=meaning.errno or 0)

    def meaning(self, index: int, number: int) -> Meaning:
        """Return what a record that failed with an errno says."""
        found = self.meanings.get((index, number)) or self.meanings.get((index, None)) or Meaning(text="{error}")
        known = os.strerror(number) if number else "it did something else than it should"
        return Meaning(
            text=found.text.replace("{error}", known),
            errno=number if found.errno is None else found.errno,
            about=found.about,
        )
