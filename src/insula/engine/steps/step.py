"""What all steps have in common: a reason, a phrase to print, and a form that survives JSON."""

from dataclasses import dataclass, fields
from typing import Any, ClassVar


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One thing to do. why: the reason, for people who read the plan."""

    phrase: ClassVar[str]
    """What it does, with its fields' names in braces."""

    why: str

    def __str__(self) -> str:
        return self.phrase.format_map({field.name: _shown(getattr(self, field.name)) for field in fields(self)})


def _shown(value: Any) -> str:
    if isinstance(value, tuple | list | frozenset):
        return ", ".join(_shown(each) for each in value)
    return str(value)
