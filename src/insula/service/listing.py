"""Which domains a caller wants to see: libvirt's filter of groups, each a choice, all together a restriction."""

from collections.abc import Callable, Iterable

from insula.model.lifecycle import DomainState
from insula.service.managed import ManagedDomain
from insula.service.requests import Filter

Condition = Callable[[ManagedDomain], bool]

GROUPS: tuple[tuple[tuple[Filter, Condition], ...], ...] = (
    (
        (Filter.ACTIVE, lambda managed: managed.is_active),
        (Filter.INACTIVE, lambda managed: not managed.is_active),
    ),
    (
        (Filter.PERSISTENT, lambda managed: managed.is_persistent),
        (Filter.TRANSIENT, lambda managed: not managed.is_persistent),
    ),
    (
        (Filter.RUNNING, lambda managed: managed.state.state is DomainState.RUNNING),
        (Filter.PAUSED, lambda managed: managed.state.state is DomainState.PAUSED),
        (Filter.SHUTOFF, lambda managed: managed.state.state is DomainState.SHUTOFF),
        (
            Filter.OTHER,
            lambda managed: managed.state.state not in (DomainState.RUNNING, DomainState.PAUSED, DomainState.SHUTOFF),
        ),
    ),
    (
        (Filter.MANAGED_SAVE, lambda managed: False),
        (Filter.NO_MANAGED_SAVE, lambda managed: True),
    ),
    (
        (Filter.AUTOSTART, lambda managed: managed.autostart),
        (Filter.NO_AUTOSTART, lambda managed: not managed.autostart),
    ),
    (
        (Filter.HAS_SNAPSHOT, lambda managed: False),
        (Filter.NO_SNAPSHOT, lambda managed: True),
    ),
    (
        (Filter.HAS_CHECKPOINT, lambda managed: False),
        (Filter.NO_CHECKPOINT, lambda managed: True),
    ),
)
"""Saved images, snapshots and checkpoints do not exist yet, so no domain has one."""


def matches(managed: ManagedDomain, wanted: Filter) -> bool:
    """Whether a caller with this filter wants to see the domain."""
    for group in GROUPS:
        chosen = [condition for flag, condition in group if flag in wanted]
        if chosen and not any(condition(managed) for condition in chosen):
            return False
    return True


def chosen(domains: Iterable[ManagedDomain], wanted: Filter) -> list[ManagedDomain]:
    """Return the domains that the filter lets through."""
    return [each for each in domains if matches(each, wanted)]


def active(domains: Iterable[ManagedDomain]) -> int:
    """Return how many domains run, or wait to be started again."""
    return sum(1 for each in domains if each.is_active or each.will_restart)
