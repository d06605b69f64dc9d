"""The overview of domains: of each a few facts and figures, for lists that people and programs go by."""

import ipaddress
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, TypeVar

from insula.kernel.cgroups import Cgroup
from insula.model.domainlabels import labels_of
from insula.model.filesystems import FilesystemSource, FilesystemType
from insula.network.guestinterfaces import GuestInterface, guest_interfaces
from insula.service.guestreadiness import ready_state
from insula.service.managed import ManagedDomain, Run

ADDRESSES_MOST = 16
"""Addresses that a list tells of each guest: a guest could have so many that the answer for all had no room."""

T = TypeVar("T")


def overview(managed: ManagedDomain) -> dict[str, Any]:
    """Return what a list tells of a domain, as JSON values, None for what it has not.

    Sizes are bytes, times nanoseconds, `begun` since 1970; state: libvirt's number.
    """
    current, run = managed.current, managed.run
    root = current.root
    template = root is not None and root.type is FilesystemType.TEMPLATE
    limit = current.memory_limit
    return {
        "name": managed.name,
        "uuid": str(managed.uuid),
        "id": managed.id if managed.is_shown_active else None,
        "state": int(managed.state.state),
        "persistent": managed.is_persistent,
        "autostart": managed.autostart,
        "memory": _reading(run, lambda group: group.memory.use(summary=True).usage),
        "memory_limit": None if limit is None else limit * 1024,
        "cpu_time": _reading(run, lambda group: group.cpu_time.use(summary=True).total),
        "begun": None if run is None else int(run.record.begun * 1_000_000_000),
        "ready": None if run is None else str(ready_state(managed)),
        "health": None if run is None or run.condition is None else run.condition.health.value,
        "image": root.source.name if root is not None and template else None,
        "root": None if root is None or template else _place_of(root.source),
        "labels": labels_of(current),
    }


def _place_of(source: FilesystemSource) -> str:
    return str(source.directory or source.file or source.device or "")


def _reading(run: Run | None, read: Callable[[Cgroup], T]) -> T | None:
    """One reading of a run's group; None without a run, or if the group has gone, or has no such controller."""
    if run is None:
        return None
    try:
        return read(run.container.group)
    except OSError:
        return None


def addresses_of(runs: Sequence[Run]) -> list[list[str]]:
    """Return by run what each guest's own cards are reached at, read in its network namespace; waits for the kernel.

    Bridges that a guest made itself, its loopback and addresses of one link alone are left out, and those beyond the
    first `ADDRESSES_MOST`; a guest with a share of the host's network has those of its share; one on
    all of the host's network, one that is gone, and one with more interfaces or addresses
    than are looked at, has none.
    """
    return [_addresses(run) for run in runs]


def _addresses(run: Run) -> list[str]:
    share = run.container.record.spec.network_share
    if share is not None:
        return list(share.addresses[:ADDRESSES_MOST])
    given = run.container.record.connected
    if not given:
        return []
    try:
        found = guest_interfaces(run.container.pid)
    except OSError:
        return []
    cards = {each.mac.lower() for each in given if each.mac}
    told = (text for each in found if _is_card(each, cards) for text in _reachable(each))
    return list(islice(told, ADDRESSES_MOST))


def _is_card(interface: GuestInterface, cards: set[str]) -> bool:
    return not interface.loopback and interface.mac.lower() in cards if cards else not interface.loopback


def _reachable(interface: GuestInterface) -> Iterable[str]:
    for each in interface.addresses:
        address = ipaddress.ip_address(each.address)
        if not address.is_link_local and not address.is_loopback:
            yield each.address
