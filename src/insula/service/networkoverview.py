"""What lists and `insula network info` tell of networks, as JSON values."""

from collections.abc import Sequence
from typing import Any

from insula.service.managednetwork import ManagedNetwork
from insula.service.networkports import PluggedCard


def network_overview(managed: ManagedNetwork, cards: Sequence[PluggedCard]) -> dict[str, Any]:
    """Return what is told of a network; None for what it has not. guests: the running domains with cards in it."""
    current = managed.current
    return {
        "name": managed.name,
        "uuid": str(managed.uuid),
        "active": managed.is_active,
        "persistent": managed.is_persistent,
        "autostart": managed.autostart,
        "mode": str(current.mode),
        "bridge": current.bridge_name,
        "subnets": [str(each.interface.network) for each in current.ips if each.interface is not None],
        "title": current.title,
        "guests": sorted({each.owner for each in cards}),
        "begun": None if managed.run is None else int(managed.run.begun * 1_000_000_000),
        "notices": list(managed.notices),
    }
