"""The table of the packet filter with the filters of bridge ports, in the kernel."""

import threading
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from insula.errors import OperationFailedError, OperationUnsupportedError
from insula.network.firewall.chainnames import plain_name
from insula.network.firewall.filterrules import FindFilter, rules_of
from insula.network.firewall.nft import Nft
from insula.network.firewall.nftwords import Command, Table
from insula.network.firewall.portrules import PortRules
from insula.network.firewall.portruleset import (
    PortChains,
    counter_name,
    made_by,
    port_commands,
    port_frame,
    port_removal,
)
from insula.network.firewall.tablelisting import expected_of, listing_of

_NOTHING = PortChains()
_TRACKS_NOTHING = "Protocol error"
"""What the kernel says of a rule that looks at a connection, where none are tracked."""


class PortTable:
    """One installation's. Any thread may call; changes wait for each other.

    find: the filter of a name.
    """

    def __init__(self, table: Table, nft: Nft, find: FindFilter) -> None:
        self._table, self._nft, self._find = table, nft, find
        self._lock = threading.Lock()
        self._ports: dict[str, PortRules] = {}
        """What was asked for, by the name of the port."""
        self._made: dict[str, PortChains] = {}
        """What there is of it, unless somebody has changed it."""
        self._there: dict[str, PortChains] | None = None
        """What there is of each port, by its name as chains have it; None if the table is to be looked at first."""

    def protect(self, ports: Collection[PortRules]) -> None:
        """See `Firewall`."""
        if not ports:
            return
        with self._lock:
            self._replace(ports)

    def release(self, hosts: Collection[str]) -> None:
        """See `Firewall`."""
        with self._lock:
            for each in hosts:
                self._ports.pop(each, None)
                self._made.pop(each, None)
            try:
                self._remove(hosts)
            except OperationFailedError:
                self._there = None
                self._remove(hosts)

    def refilter(self) -> None:
        """Have the filters before all ports say what their definitions say by now."""
        with self._lock:
            if self._ports:
                self._replace(tuple(self._ports.values()))

    def filters(self) -> frozenset[str]:
        """See `Firewall`."""
        with self._lock:
            return frozenset(each.protection.filter for each in self._ports.values())

    def drops(self, host: str) -> Mapping[str, int]:
        """See `Firewall`."""
        prefix = counter_name(host, "")
        found: dict[str, int] = {}
        for each in self._nft.listed("counters", "table", self._table.family.value, self._table.name):
            counter = each.get("counter", {})
            if str(counter.get("name", "")).startswith(prefix):
                found[counter["name"].removeprefix(prefix)] = int(counter["packets"])
        return found

    def restore(self) -> tuple[str, ...]:
        """Put back what is not there any more, or not as it was; return in words what that was."""
        with self._lock:
            if not self._ports:
                self._there = None
                return ()
            listed = self._nft.listed_table(self._table)
            self._there = _found(listed)
            frame = expected_of(port_frame(self._table))
            whole = all(self._there.get(plain_name(host)) == made for host, made in self._made.items())
            if whole and listing_of(listed).holds(frame):
                return ()
            self._replace(tuple(self._ports.values()))
            return (_subject(self._ports),)

    def _replace(self, ports: Collection[PortRules]) -> None:
        asked = [(each, port_commands(self._table, each, rules_of(each, self._find))) for each in ports]
        known = self._there is not None
        try:
            self._perform(asked)
        except OperationFailedError as error:
            self._there = None
            if _TRACKS_NOTHING in str(error):
                raise OperationUnsupportedError(
                    f"{error}: this kernel does not track connections over bridges (nf_conntrack_bridge); give the "
                    "rules of the filter that accept statematch='false', and others for the answers"
                ) from error
            if not known:
                raise
            # What stood there when it was looked at may have gone since: a ruleset that somebody has flushed.
            self._perform(asked)
        self._ports |= {each.host: each for each in ports}

    def _perform(self, asked: Sequence[tuple[PortRules, list[Command]]]) -> None:
        there = self._look()
        commands: list[Command] = []
        made: dict[str, PortChains] = {}
        for port, own in asked:
            made[port.host] = made_by(own)
            former = there.get(plain_name(port.host), _NOTHING)
            if port.host not in self._ports and former == made[port.host]:
                continue  # as the daemon before has left it
            commands += [each for each in own if not _is_there(each, former)]
            commands += port_removal(self._table, port.host, former.without(made[port.host]))
        if commands:
            self._nft.perform([*port_frame(self._table), *commands], _subject([port.host for port, _ in asked]))
        there.update((plain_name(host), own) for host, own in made.items())
        self._made |= made

    def _remove(self, hosts: Collection[str]) -> None:
        there = self._look()
        gone = [each for each in hosts if plain_name(each) in there]
        if not gone:
            return
        if there.keys() <= set(map(plain_name, gone)):
            commands: list[Command] = [self._table.delete()]
        else:
            commands = [
                command for each in gone for command in port_removal(self._table, each, there[plain_name(each)])
            ]
        self._nft.perform(commands, _subject(gone))
        for each in gone:
            there.pop(plain_name(each), None)

    def _look(self) -> dict[str, PortChains]:
        if self._there is None:
            self._there = _found(self._nft.listed_table(self._table))
        return self._there


def _is_there(command: Command, former: PortChains) -> bool:
    """Whether a command makes a set that is there: with what rules have put into it, it is not the one asked for."""
    return command.get("add", {}).get("set", {}).get("name") in former.sets


def _found(listed: Collection[Mapping[str, Any]]) -> dict[str, PortChains]:
    """Return what a table holds of each port: the second part of a name is the port's, and maps have it as it is."""
    found: dict[str, dict[str, Any]] = {}

    def of(port: str) -> dict[str, Any]:
        return found.setdefault(port, {"maps": set(), "chains": {}, "counters": set(), "sets": set()})

    for each in listed:
        noun, said = next(iter(each.items()))
        name = str(said.get("name", said.get("chain", "")))
        if noun == "map":
            for element in said.get("elem", []):
                of(plain_name(str(element[0])))["maps"].add(name)
        elif "/" in name:
            port = of(name.split("/")[1])
            if noun in ("counter", "set"):
                port[f"{noun}s"].add(name)
            elif noun in ("chain", "rule"):
                rules = port["chains"].setdefault(name, [])
                rules += [said.get("comment", "")] if noun == "rule" else []
    return {
        port: PortChains(
            maps=frozenset(kinds["maps"]),
            chains={name: tuple(rules) for name, rules in kinds["chains"].items()},
            counters=frozenset(kinds["counters"]),
            sets=frozenset(kinds["sets"]),
        )
        for port, kinds in found.items()
    }


def _subject(hosts: Collection[str]) -> str:
    quoted = ", ".join(f"'{each}'" for each in hosts)
    return f"the filter{'' if len(hosts) == 1 else 's'} of the port{'' if len(hosts) == 1 else 's'} {quoted}"
