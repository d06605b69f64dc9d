"""How a guest is that is looked after: `guesthealth` finds it out, and others tell it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Health(StrEnum):
    """STARTING: not known yet, or not well and given time."""

    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


@dataclass(slots=True, kw_only=True)
class GuestCondition:
    """How a run is. failures: in a row; says: why the last try failed; restart_at: when it is restarted at the
    earliest, seconds since 1970, None if it is not to be."""

    health: Health = Health.STARTING
    failures: int = 0
    says: str = ""
    restart_at: float | None = None

    def described(self) -> dict[str, Any]:
        """Return it as JSON values; moments are nanoseconds since 1970."""
        return {
            "state": self.health.value,
            "failures": self.failures,
            "says": self.says or None,
            "restart_at": None if self.restart_at is None else int(self.restart_at * 1_000_000_000),
        }
