"""What a guest with systemd says over its own bus (`engine.look.systemdlook`), where that answers; no more is lost."""

import logging
from dataclasses import dataclass, field
from typing import Any

from insula.engine.spec import InitKind
from insula.errors import InsulaError
from insula.model.visible import visible
from insula.service.guestvisits import GuestVisits
from insula.service.managed import ManagedDomain

LOGGER = logging.getLogger(__name__)

ANSWER = 2.0
"""Seconds that a bus has for all that it is asked: one that answers does so within milliseconds."""
_GRACE = 1.0
"""Seconds, beside those, for the look itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SystemReport:
    """What a guest's systemd says of itself; nothing where it does not.

    state: as `systemctl is-system-running` has it; failed: how many units have; units: names of some of those; users:
    by name the seconds since 1970 when they logged in first.
    """

    state: str | None = None
    failed: int = 0
    units: tuple[str, ...] = ()
    users: dict[str, int] = field(default_factory=dict)
    static_name: str = ""
    pretty_name: str = ""

    def names(self) -> dict[str, str]:
        """What the host is called, by the kind of name."""
        return {kind: name for kind, name in (("static", self.static_name), ("pretty", self.pretty_name)) if name}

    def described(self) -> dict[str, Any] | None:
        """Its state as JSON values, None if that is not told."""
        if self.state is None:
            return None
        return {"state": self.state, "failed": self.failed, "units": [visible(each) for each in self.units]}


class GuestBuses:
    """Asks guests' buses."""

    def __init__(self, visits: GuestVisits) -> None:
        self._visits = visits

    async def ask(self, managed: ManagedDomain) -> SystemReport:
        """Return what a domain's guest says; it may be off, paused, without systemd, or silent."""
        run = managed.run
        if run is None or run.container.record.spec.init_kind is not InitKind.SYSTEMD:
            return SystemReport()
        try:
            said = await self._visits.look(managed, "ask-systemd", {"seconds": ANSWER}, seconds=ANSWER + _GRACE)
        except (InsulaError, OSError) as error:
            LOGGER.debug("domain '%s': its bus does not answer: %s", managed.name, error)
            return SystemReport()
        return SystemReport(
            state=said.get("state"),
            failed=said.get("failed", 0),
            units=tuple(said.get("units", ())),
            users=said.get("users", {}),
            static_name=said.get("static", ""),
            pretty_name=said.get("pretty", ""),
        )
