"""How much of this process's memory clients may hold: unfinished packets, unanswered calls, answers not yet taken.

Root is not counted: it could end us in other ways. All others have a share each, and one together, so that one user
cannot use up what the rest needs.
"""

import os
from collections import Counter

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
        self._held: Counter[int] = Counter()
        self._total = 0

    def change(self, uid: int, difference: int) -> None:
        """A client of a user holds so much more, or less."""
        if uid in (0, os.geteuid()):
            return
        self._held[uid] += difference
        self._total += difference
        if not self._held[uid]:
            del self._held[uid]

    def exceeded(self, uid: int) -> str | None:
        """Why a user's clients hold too much, None if they do not."""
        if self._held[uid] > self._of_one_user:
            return f"its user's clients hold more than {self._of_one_user // MIB} MiB"
        if self._held[uid] and self._total > self._of_all:
            return f"all users' clients together hold more than {self._of_all // MIB} MiB"
        return None


class ClientShare:
    """What one client holds. uid: whose client it is."""

    def __init__(self, shares: Shares, uid: int) -> None:
        self._shares = shares
        self._uid = uid
        self._held = 0

    def hold(self, amount: int) -> str | None:
        """Say how many bytes it is now; return why that is too much, or None."""
        difference, self._held = amount - self._held, amount
        if difference:
            self._shares.change(self._uid, difference)
        return self._shares.exceeded(self._uid) if difference > 0 else None
