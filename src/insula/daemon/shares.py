"""How much of this process's memory clients may hold: unfinished packets, unanswered calls, answers not yet taken.

Root is not counted: it could end us in other ways. All others have a share each, and one together, so that one user
cannot use up what the rest needs.
"""

import os
from collections import Counter

from insula.daemon.peers import Account

MIB = 1024 * 1024
SHARE_OF_ONE_USER = 64 * MIB
"""Twice the largest packet: one answer on its way, and the next."""
SHARE_OF_ALL = 256 * MIB
"""What all users but root may hold together."""


class Shares:
    """What each user's clients hold, in bytes."""

    def __init__(self, *, of_one_user: int = SHARE_OF_ONE_USER, of_all: int = SHARE_OF_ALL) -> None:
        self._of_one_user = of_one_user
        self._of_all = of_all
        self._held: Counter[Account] = Counter()
        self._total = 0

    def change(self, account: Account, difference: int) -> None:
        """A client of a user holds so much more, or less."""
        if account in (0, os.geteuid()):
            return
        self._held[account] += difference
        self._total += difference
        if not self._held[account]:
            del self._held[account]

    def exceeded(self, account: Account) -> str | None:
        """Why a user's clients hold too much, None if they do not."""
        if self._held[account] > self._of_one_user:
            return f"its user's clients hold more than {self._of_one_user // MIB} MiB"
        if self._held[account] and self._total > self._of_all:
            return f"all users' clients together hold more than {self._of_all // MIB} MiB"
        return None


class ClientShare:
    """What one client holds. account: whose client it is."""

    def __init__(self, shares: Shares, account: Account) -> None:
        self._shares = shares
        self._account = account
        self._held = 0

    def hold(self, amount: int) -> str | None:
        """Say how many bytes it is now; return why that is too much, or None."""
        difference, self._held = amount - self._held, amount
        if difference:
            self._shares.change(self._account, difference)
        return self._shares.exceeded(self._account) if difference > 0 else None
