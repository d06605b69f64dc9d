"""The table of the packet filter with the rules of virtual networks, in the kernel."""

import threading
from collections.abc import Collection

from insula.errors import OperationFailedError, UnsupportedConfigError
from insula.network.firewall.networkrules import NetworkRules, Reach
from insula.network.firewall.nft import Nft
from insula.network.firewall.nftwords import Command, Table
from insula.network.firewall.ruleset import FORWARD, chains_named, chains_of, changed_forwards, frame, network_commands
from insula.network.firewall.tablelisting import TableListing, expected_of, listing_of


class NetworkTable:
    """One installation's. Any thread may call; changes wait for each other."""

    def __init__(self, table: Table, nft: Nft) -> None:
        self._table, self._nft = table, nft
        self._lock = threading.Lock()
        self._networks: dict[str, NetworkRules] = {}
        """What was asked for, by the network's name."""

    @property
    def asked(self) -> tuple[NetworkRules, ...]:
        """What was asked for."""
        with self._lock:
            return tuple(self._networks.values())

    def apply(self, networks: Collection[NetworkRules]) -> None:
        """See `Firewall`."""
        for each in networks:
            _refuse_contradictions(each)
        with self._lock:
            if not self._only_forwards_changed(networks):
                there = self._listed()
                commands = frame(self._table)
                for each in networks:
                    commands += self._stale(each, there)
                    commands += network_commands(self._table, each)
                self._nft.perform(commands, _subject([each.name for each in networks]))
            self._networks |= {each.name: each for each in networks}

    def _only_forwards_changed(self, networks: Collection[NetworkRules]) -> bool:
        """Change the forwarded ports where nothing else changes, without reading the table: whether that was possible.

        It is not when somebody has taken the chains away and they are not back yet.
        """
        commands: list[Command] = []
        for each in networks:
            former = self._networks.get(each.name)
            changed = changed_forwards(self._table, former, each) if former is not None else None
            if changed is None:
                return False
            commands += changed
        if commands:
            try:
                self._nft.perform(commands, _subject([each.name for each in networks]))
            except OperationFailedError:
                return False
        return True

    def remove(self, names: Collection[str]) -> None:
        """See `Firewall`."""
        with self._lock:
            there = self._listed()
            chains: frozenset[str] = frozenset().union(*map(chains_named, names))
            commands = self._gone(there, chains)
            if commands and there.chains.keys() <= {FORWARD, *chains}:
                commands = [self._table.delete()]
            if commands:
                self._nft.perform(commands, _subject(names))
            for each in names:
                self._networks.pop(each, None)

    def restore(self) -> tuple[str, ...]:
        """Put back what is not there any more, or not as it was; return in words what that was."""
        with self._lock:
            if not self._networks:
                return ()
            commands = frame(self._table)
            for each in self._networks.values():
                commands += network_commands(self._table, each)
            there = self._listed()
            if there.holds(expected_of(commands)):
                return ()
            stale = [command for each in self._networks.values() for command in self._stale(each, there)]
            self._nft.perform([*stale, *commands], _subject(self._networks))
            return (_subject(self._networks),)

    def _listed(self) -> TableListing:
        return listing_of(self._nft.listed_table(self._table))

    def _stale(self, rules: NetworkRules, there: TableListing) -> list[Command]:
        """Take away what the network has and shall not have any more: chains of another reach, another bridge."""
        keep = {rules.bridge} if rules.reach is not Reach.OPEN else set()
        return self._gone(there, chains_named(rules.name), keep=chains_of(rules).keys(), keep_interfaces=keep)

    def _gone(
        self,
        there: TableListing,
        chains: frozenset[str],
        *,
        keep: Collection[str] = (),
        keep_interfaces: Collection[str] = (),
    ) -> list[Command]:
        elements = [
            self._table.delete_element(map_, interface)
            for map_, leads in there.maps.items()
            for interface, chain in leads.items()
            if chain in chains and interface not in keep_interfaces
        ]
        gone = [each for each in sorted(chains & there.chains.keys()) if each not in keep]
        return [*elements, *(self._table.delete_chain(each) for each in gone)]


def _refuse_contradictions(rules: NetworkRules) -> None:
    if rules.reach is Reach.ISOLATED and rules.forwards:
        raise UnsupportedConfigError(
            f"the network '{rules.name}' is isolated, and no port of the host leads into it; give it the mode 'nat' or "
            "'route', or take its port forwards away"
        )


def _subject(names: Collection[str]) -> str:
    quoted = ", ".join(f"'{each}'" for each in names)
    return f"rules of the network{'' if len(names) == 1 else 's'} {quoted}"
