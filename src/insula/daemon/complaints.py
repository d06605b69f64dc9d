"""What clients do wrong, in the log: at once, but one line a minute and user, with how often it happened since.

Whoever may connect may misbehave as often as they like; the log must not be theirs to fill.
"""

import asyncio
import logging
from dataclasses import dataclass

from insula.daemon.peers import Account

QUIET_SECONDS = 60.0
"""After one line about a user, how long further ones are only counted."""
ACCOUNTS_MOST = 64
"""Of whom lines are counted one by one; those beyond, as strangers' networks may be, are counted as one."""
OTHERS = "of others"

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
        self._tallies: dict[Account, _Tally] = {}

    def complain(self, account: Account, text: str, *, error: BaseException | None = None) -> None:
        """Log text, or count it if this user had a line less than a minute ago. error: its trace goes along."""
        if account not in self._tallies and len(self._tallies) >= ACCOUNTS_MOST:
            account = OTHERS
        tally = self._tallies.get(account)
        if tally is not None:
            tally.number += 1
            tally.last = text
            return
        _logger.warning("%s", text, exc_info=error)
        self._begin(account)

    def _begin(self, account: Account) -> None:
        self._tallies[account] = _Tally()
        asyncio.get_running_loop().call_later(self._quiet_seconds, self._tell, account)

    def _tell(self, account: Account) -> None:
        """A minute is over: tell what was counted; a quiet user is forgotten."""
        tally = self._tallies.pop(account)
        if tally.number:
            _logger.warning(
                "user %s: %d more of the kind in %g s, the last: %s",
                account,
                tally.number,
                self._quiet_seconds,
                tally.last,
            )
            self._begin(account)
