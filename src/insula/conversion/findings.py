"""What a conversion could not carry over, or not as it was: named, never dropped in silence."""

from dataclasses import dataclass
from enum import StrEnum


class Consequence(StrEnum):
    """What becomes of a setting that is not simply carried over."""

    LOST = "lost"  # it has no equivalent
    CHANGED = "changed"  # its equivalent is not the same
    UNKNOWN = "unknown"  # neither the other program's manual nor we know it


@dataclass(frozen=True, kw_only=True, slots=True)
class ConversionFinding:
    """One setting. key: as the document spells it, or where it stands in a domain's XML; line 0: of no line.

    file: '' for the document itself, else what it includes; why, advice: what to know and to do; '' for nothing.
    """

    consequence: Consequence
    key: str
    line: int = 0
    file: str = ""
    why: str
    advice: str = ""

    def __str__(self) -> str:
        place = ", ".join(filter(None, (self.file, f"line {self.line}" if self.line else "")))
        said = f"{self.why}; {self.advice}" if self.advice else self.why
        return f"{f'{place}: ' if place else ''}{self.consequence}: {self.key}: {said}"
