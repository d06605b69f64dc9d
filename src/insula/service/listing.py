"""Which domains a caller wants to see: libvirt's filter of groups, each a choice, all together a restriction."""

from collections.abc import Callable, Iterable

from insula.model.domainstates import DomainState
from insula.model.numbers import ListDomains
from insula.service.managed import ManagedDomain

Condition = Callable[[ManagedDomain], bool]

GROUPS: tuple[tuple[tuple[ListDomains, Condition], ...], ...] = (
    (
        (ListDomains.ACTIVE, lambda managed: managed.is_shown_active),
        (ListDomains.INACTIVE, lambda managed: not managed.is_shown_active),
    ),
    (
        (ListDomains.PERSISTENT, lambda managed: managed.is_persistent),
        (ListDomains.TRANSIENT, lambda managed: not managed.is_persistent),
    ),
    (
        (ListDomains.RUNNING, lambda managed: managed.state.state is DomainState.RUNNING),
        (ListDomains.PAUSED, lambda managed: managed.state.state is DomainState.PAUSED),
        (ListDomains.SHUTOFF, lambda managed: managed.state.state is DomainState.SHUTOFF),
        (
            ListDomains.OTHER,
            lambda managed: managed.state.state not in (DomainState.RUNNING, DomainState.PAUSED, DomainState.SHUTOFF),
        ),
    ),
    (
        (ListDomains.MANAGED_SAVE, lambda managed: False),
        (ListDomains.NO_MANAGED_SAVE, lambda managed: True),
    ),
    (
        (ListDomains.AUTOSTART, lambda managed: managed.autostart),
        (ListDomains.NO_AUTOSTART, lambda managed: not managed.autostart),
    ),
    (
        (ListDomains.HAS_SNAPSHOT, lambda managed: False),
        (ListDomains.NO_SNAPSHOT, lambda managed: True),
    ),
    (
        (ListDomains.HAS_CHECKPOINT, lambda managed: False),
        (ListDomains.NO_CHECKPOINT, lambda managed: True),
    ),
)
"""Saved images, snapshots and checkpoints do not exist yet, so no domain has one."""


def chosen(domains: Iterable[ManagedDomain], wanted: ListDomains) -> list[ManagedDomain]:
    """Return the domains that the filter lets through."""
    found = list(domains)
    for group in GROUPS:
        conditions = [condition for flag, condition in group if flag in wanted]
        if 0 < len(conditions) < len(group):  # of a group as a whole each domain is one of the kinds
            found = [each for each in found if any(condition(each) for condition in conditions)]
    return found


def active(domains: Iterable[ManagedDomain]) -> int:
    """Return how many domains run, or wait to be started again."""
    return sum(1 for each in domains if each.is_active or each.will_restart)
