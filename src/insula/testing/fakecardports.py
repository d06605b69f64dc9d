"""Guests' ends of bridges in memory."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from insula.engine.interfacespec import BridgePort
from insula.network.guestports import RefusedPort


@dataclass
class FakeCardPorts:
    """Stands in for `service.cardbridges.CardPorts`.

    loose: guests' ends that are ports of nothing; bridges: of the host, None for all; plugged: what was put on which
    bridge, and how; refused: the ends that a bridge does not take, and why.
    """

    loose: set[str] = field(default_factory=set)
    bridges: set[str] | None = None
    plugged: dict[str, tuple[str, BridgePort]] = field(default_factory=dict)
    refused: dict[str, RefusedPort] = field(default_factory=dict)

    def unplugged(self, ends: Collection[str]) -> frozenset[str]:
        return frozenset(ends) & self.loose

    def plug(self, bridge: str, ends: Mapping[str, BridgePort]) -> dict[str, RefusedPort]:
        refused = {}
        for end in self.loose & ends.keys():
            if self.bridges is not None and bridge not in self.bridges:
                refused[end] = RefusedPort(reason=f"the host has no bridge '{bridge}'")
            elif end in self.refused:
                refused[end] = self.refused[end]
            else:
                self.loose.discard(end)
                self.plugged[end] = (bridge, ends[end])
        return refused
