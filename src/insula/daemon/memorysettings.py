"""What is done about the memory of all guests together: what the settings may say of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from insula.model.sizes import KiB
from insula.service.idlereclaim import IdleReclaimSettings

_RESERVE = 1024
"""MiB."""
_IDLE = ("host_free_below", "interval")


@dataclass(frozen=True, kw_only=True, slots=True)
class MemorySettings:
    """idle: how idle memory is taken, None for not at all; guaranteed_reserve: what of the host's memory no guest is
    guaranteed, None where nobody looks at what guests are guaranteed in sum."""

    idle: IdleReclaimSettings | None = None
    guaranteed_reserve: KiB | None = None


NO_CARE = MemorySettings()
"""What is done where the settings say nothing."""


def memory_settings(values: Mapping[str, Any]) -> MemorySettings:
    """Return what the keys of the table say, each acceptable by itself."""
    idle = None
    if values.get("idle_reclaim"):
        idle = IdleReclaimSettings(**{key: values[key] for key in _IDLE if key in values})
    reserve = KiB(values.get("host_reserve", _RESERVE) * 1024) if values.get("guarantees") else None
    return MemorySettings(idle=idle, guaranteed_reserve=reserve)
