"""The limits a container has where its spec names none."""

from dataclasses import replace

from insula.engine.facts import Facts
from insula.engine.spec import ContainerSpec, Limits

MOST_TASKS = 16384
"""What systemd gives a container's unit (`TasksMax=` of systemd-nspawn@.service)."""
_SHARE_OF_PIDS = 8
"""One in so many of the host's pids: on a host with the old 32768 of them a container gets 4096."""


def limits_of(spec: ContainerSpec, facts: Facts) -> Limits:
    """Return the spec's limits with what every container has: a number of tasks, and no swap beyond its memory."""
    limits = spec.limits
    if limits.pids is None and "pids" in facts.hierarchies.controllers():
        limits = replace(limits, pids=default_tasks(facts.pids_max))
    if limits.memory is not None and limits.memory_and_swap is None and facts.swap_limits:
        limits = replace(limits, memory_and_swap=limits.memory)
    return limits


def default_tasks(pids_max: int) -> int:
    """Return how many processes and threads a container may have that names no number.

    pids_max: the host's highest pid and one.
    """
    return min(MOST_TASKS, pids_max // _SHARE_OF_PIDS)
