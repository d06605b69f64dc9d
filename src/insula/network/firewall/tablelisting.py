"""What a table of ours holds, as far as it can be told whether that is what was asked for.

The kernel's tools write a rule otherwise than it was asked for; each of ours has a comment, and rules are compared by
those, in their order.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from insula.network.firewall.nftwords import Command


@dataclass(frozen=True, kw_only=True, slots=True)
class TableListing:
    """chains: the comments of each chain's rules; maps: the chain that each interface leads to."""

    chains: Mapping[str, tuple[str, ...]]
    maps: Mapping[str, Mapping[str, str]]

    def holds(self, expected: "TableListing") -> bool:
        """Whether all of expected is here as it is there."""
        return all(self.chains.get(name) == rules for name, rules in expected.chains.items()) and all(
            self.maps.get(name, {}).items() >= leads.items() for name, leads in expected.maps.items()
        )


def listing_of(listed: Iterable[Mapping[str, Any]]) -> TableListing:
    """Read what `nft -j list table` tells."""
    chains: dict[str, list[str]] = {}
    maps: dict[str, dict[str, str]] = {}
    for each in listed:
        match each:
            case {"chain": {"name": name}}:
                chains.setdefault(name, [])
            case {"rule": {"chain": chain} as rule}:
                chains.setdefault(chain, []).append(rule.get("comment", ""))
            case {"map": {"name": name} as map_}:
                maps[name] = dict(map(_lead, map_.get("elem", [])))
    return TableListing(chains={name: tuple(rules) for name, rules in chains.items()}, maps=maps)


def expected_of(commands: Iterable[Command]) -> TableListing:
    """Return what a table holds behind commands that begin with an empty one; or what they add to it."""
    chains: dict[str, list[str]] = {}
    maps: dict[str, dict[str, str]] = {}
    for each in commands:
        match each.get("add"):
            case {"chain": {"name": name}}:
                chains[name] = []
            case {"rule": {"chain": chain, "comment": comment}}:
                chains[chain].append(comment)
            case {"map": {"name": name}}:
                maps[name] = {}
            case {"element": {"name": name, "elem": elements}}:
                maps.setdefault(name, {}).update(map(_lead, elements))
    return TableListing(chains={name: tuple(rules) for name, rules in chains.items()}, maps=maps)


def _lead(element: Any) -> tuple[str, str]:
    match element:
        case [str(interface), {"jump": {"target": str(chain)}}]:
            return interface, chain
    # Somebody else's verdict, or a key that is no plain name: it is no lead of ours.
    return str(element), ""
