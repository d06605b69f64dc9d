"""How the lists of system calls are written down: calls that share a reason, and what they are answered."""

from dataclasses import dataclass

from insula.kernel.callfilter import Condition


@dataclass(frozen=True, kw_only=True, slots=True)
class CallGroup:
    """Calls that share a reason."""

    names: tuple[str, ...]
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal(CallGroup):
    """Calls that fail with `errno`."""

    errno: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ForbiddenArgument(Refusal):
    """Calls that fail if every condition holds, else pass as far as this filter goes."""

    conditions: tuple[Condition, ...]
