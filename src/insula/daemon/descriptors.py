"""How many descriptors the daemon may have: as many as the host lets it; what it starts has as many as ever."""

import resource

Limits = tuple[int, int]
"""Soft and hard limit of descriptors: getrlimit(2)."""


def raise_limit() -> Limits:
    """Let this process have as many descriptors as it may; return the limits as they were."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
    return limits
