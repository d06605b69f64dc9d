"""What clients do wrong, in the log: at once, but one line a minute and user, with how often it happened since.

Whoever may connect may misbehave as often as they like; the log must not be theirs to fill.
"""

import asyncio
import logging
from dataclasses import dataclass

QUIET_SECONDS = 60.0
"""After one line about a user, how long further ones are only counted."""

_logger = logging.getLogger(__name__)


@dataclass(kw_only=True, slots=True)
class _Tally:
    """What is not told yet of one user."""

    number: int = 0
    last: str = ""


class Complaints:
    """Warnings about clients, by their user."""

    def __init__(self, quiet_seconds: float = QUIET_SECONDS) -> None:
        self._quiet_seconds = quiet_seconds
        self._tallies: dict[int, _Tally] = {}

    def complain(self, uid: int, text: str, *, error: BaseException | None = None) -> None:
        """Log text, or count it if this user had a line less than a minute ago. error: its trace goes along."""
        tally = self._tallies.get(uid)
        if tally is not None:
            tally.number += 1
            tally.last = text
            return
        _logger.warning("%s", text, exc_info=error)
        self._begin(uid)

    def _begin(self, uid: int) -> None:
        self._tallies[uid] = _Tally()
        asyncio.get_running_loop().call_later(self._quiet_seconds, self._tell, uid)

    def _tell(self, uid: int) -> None:
        """A minute is over: tell what was counted; a quiet user is forgotten."""
        tally = self._tallies.pop(uid)
        if tally.number:
            _logger.warning(
                "user %d: %d more of the kind in %g s, the last: %s", uid, tally.number, self._quiet_seconds, tally.last
            )
            self._begin(uid)
