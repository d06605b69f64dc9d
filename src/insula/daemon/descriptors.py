"""How many descriptors the daemon may have: as many as the host lets it; what it starts has as many as ever."""

import resource

from insula.errors import ConfigurationError
from insula.kernel.fds import Reserve

Limits = tuple[int, int]
"""Soft and hard limit of descriptors: getrlimit(2)."""

FEWEST = 128
"""With fewer neither we nor our keeper could do anything but fail half-way."""
RESERVED = 24
"""Kept for taking back a start that has met the limit: walking a control group takes one for each of its levels."""


def raise_limit() -> Limits:
    """Let this process have as many descriptors as it may; return the limits as they were.

    Raises: ConfigurationError if those are too few to serve anybody.
    """
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limits[1] < FEWEST:
        raise ConfigurationError(
            f"insulad may have {limits[1]} descriptors, and needs {FEWEST} at least, some more for each guest: "
            "raise the hard limit (LimitNOFILE= of its unit, ulimit -Hn)"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
    return limits


def reserved() -> Reserve:
    """Return what is kept for taking things back."""
    return Reserve(RESERVED)
