"""Which domains a caller wants to see: libvirt's filter of groups, each a choice, all together a restriction."""

from collections.abc import Callable, Iterable

from insula.model.lifecycle import DomainState
from insula.model.numbers import ListDomains
from insula.service.managed import ManagedDomain

Condition = Callable[[ManagedDomain], bool]

GROUPS: tuple[tuple[tuple[ListDomains, Condition], ...], ...] = (
    (
        (ListDomains.ACTIVE, lambda managed: managed.is_active),
        (ListDomains.INACTIVE, lambda managed: not managed.is_active),
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


def matches(managed: ManagedDomain, wanted: ListDomains) -> bool:
    """Whether a caller with this filter wants to see the domain."""
    for group in GROUPS:
        chosen = [condition for flag, condition in group if flag in wanted]
        if chosen and not any(condition(managed) for condition in chosen):
            return False
    return True


def chosen(domains: Iterable[ManagedDomain], wanted: ListDomains) -> list[ManagedDomain]:
    """Return the domains that the filter lets through."""
    return [each for each in domains if matches(each, wanted)]


def active(domains: Iterable[ManagedDomain]) -> int:
    """Return how many domains run, or wait to be started again."""
    return sum(1 for each in domains if each.is_active or each.will_restart)
