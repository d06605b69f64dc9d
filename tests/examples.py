"""How many examples properties are tried with: few in a usual run, many with scripts/test --full."""

from hypothesis import settings

from tests import hosts

FEW = 30
"""Where a property says nothing. Other examples each time: a property of ours is tried many times a day."""
TIMES_FULL = 30
"""How many times as many there are with --full."""


def load_profile() -> None:
    """Make it so for this session. No example has a time limit: it would say something of the host, not of the code."""
    settings.register_profile("insula", deadline=None, max_examples=examples(FEW))
    settings.load_profile("insula")


def examples(few: int) -> int:
    """Return how many there are where a usual run tries `few`."""
    return few * TIMES_FULL if hosts.full() else few
