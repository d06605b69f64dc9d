"""Lives beside others' firewalls: tells what they keep networks from, and mends it where the administrator allows.

Nothing of this fails a network: its own rules stand by then.
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise

from insula.errors import InsulaError
from insula.network.firewall.firewalld import Firewalld
from insula.network.firewall.iptables import Iptables
from insula.network.firewall.networkrules import NetworkRules
from insula.network.firewall.otherfirewalls import obstacles_in


class Coexistence:
    """table: the installation's word, which our rules among others' bear; mends: whether we may add to others' rules.

    told: called with what is to be known, in words, once for each thing as long as it lasts.
    """

    def __init__(
        self,
        table: str,
        told: Callable[[str], None],
        *,
        mends: bool = False,
        programs: Mapping[int, Iptables] | None = None,
        firewalld: Firewalld | None = None,
    ) -> None:
        self._table, self._told, self._mends = table, told, mends
        self._programs = programs if programs is not None else {version: Iptables(version) for version in (4, 6)}
        self._firewalld = firewalld or Firewalld()
        self._lock = threading.Lock()
        self._known: dict[str, frozenset[str]] = {}
        """What was told of each network."""

    def welcome(self, networks: Iterable[NetworkRules]) -> None:
        """Look whether others let these networks do what their own rules let them do."""
        with self._lock:
            for each in networks:
                texts = [*self._zoned(each), *self._let_be(each)]
                for text in texts:
                    if text not in self._known.get(each.name, frozenset()):
                        self._told(text)
                self._known[each.name] = frozenset(texts)

    def forget(self, names: Iterable[str]) -> None:
        """Take away what was added to others' rules for these networks."""
        with self._lock:
            for name in names:
                self._known.pop(name, None)
                for program in self._programs.values():
                    try:
                        self._forget(program, self._comment(name))
                    except InsulaError as error:
                        self._told(f"rules for the network '{name}' may stay among others': {error}")

    def _zoned(self, rules: NetworkRules) -> list[str]:
        try:
            text = self._firewalld.admit(rules.bridge, rules.zone)
        except InsulaError as error:
            text = str(error)
        return [f"the network '{rules.name}': {text}"] if text else []

    def _let_be(self, rules: NetworkRules) -> list[str]:
        texts: list[str] = []
        for version, program in self._programs.items():
            try:
                listing = program.listing()
                if listing is None:
                    continue
                for obstacle in obstacles_in(listing, rules, version):
                    if not self._mends:
                        texts.append(obstacle.text)
                        continue
                    for each in reversed(obstacle.rules):
                        program.insert(each, self._comment(rules.name))
            except InsulaError as error:
                texts.append(f"what others' rules keep the network '{rules.name}' from is not known: {error}")
        return texts

    def _forget(self, program: Iptables, comment: str) -> None:
        listing = program.listing()
        for each in listing.rules if listing is not None else ():
            if ("--comment", comment) in pairwise(each):
                program.delete(each)

    def _comment(self, name: str) -> str:
        return f"{self._table}: network {name}"
