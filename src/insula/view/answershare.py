"""How much of a processor one guest's questions may take from all others and from the host."""

import time

SHARE = 0.25
"""Of one processor, in the long run."""
_BURST = 0.5
"""Seconds of processor time that may be taken at once."""


class AnswerShare:
    """The account of one guest: processor seconds, filled at `SHARE` a second."""

    __slots__ = ("_balance", "_since")

    def __init__(self, now: float | None = None) -> None:
        self._balance = _BURST
        self._since = time.monotonic() if now is None else now

    def spend(self, seconds: float, now: float) -> float:
        """Charge processor seconds; return for how many seconds nothing more is to be answered. now: monotonic."""
        self._balance = min(_BURST, self._balance + (now - self._since) * SHARE) - seconds
        self._since = now
        return 0.0 if self._balance > 0 else -self._balance / SHARE + _BURST / 10
