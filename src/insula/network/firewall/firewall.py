"""The host's packet filter, as far as it is ours: one table for networks and one for bridge ports, in the kernel.

Rules outlive the daemon. What is asked for again replaces what was there, in one transaction, and what was counted
stays counted: so a daemon that begins asks for all that runs once more, and nothing is open or shut meanwhile.
Every method waits for the kernel, and may be called from any thread; the service calls them in threads.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from insula.errors import NetworkFilterNotFoundError
from insula.model.nwfilter import FilterDefinition
from insula.network.firewall.coexistence import Coexistence
from insula.network.firewall.filterrules import FindFilter
from insula.network.firewall.networkrules import NetworkRules
from insula.network.firewall.networktable import NetworkTable
from insula.network.firewall.nft import Nft
from insula.network.firewall.nftwords import Table, TableFamily
from insula.network.firewall.portrules import PortRules
from insula.network.firewall.porttable import PortTable


def table_of(root: Path) -> str:
    """Return the name of the tables of the installation that stands below root: no other daemon's is the same."""
    if root == Path("/"):
        return "insula"
    return f"insula-{hashlib.sha256(str(root).encode()).hexdigest()[:8]}"


def no_filter(name: str) -> FilterDefinition:
    """Find no filter, where nobody keeps any. Raises: NetworkFilterNotFoundError."""
    raise NetworkFilterNotFoundError(f"no network filter with matching name '{name}'")


class Firewall:
    """The tables of one installation.

    table: their name (`table_of`); find: the network filter of a name; others: who lives beside others' firewalls, None
    where nobody does.
    """

    def __init__(self, table: str, find: FindFilter = no_filter, others: Coexistence | None = None) -> None:
        self._others = others
        self.table = table
        self._nft = Nft()
        self._networks = NetworkTable(Table(family=TableFamily.INET, name=table), self._nft)
        self._ports = PortTable(Table(family=TableFamily.BRIDGE, name=table), self._nft, find)

    def apply(self, *networks: NetworkRules) -> None:
        """Have these rules for these networks, all or none, instead of what there was for them.

        Raises: OperationFailedError naming the network and the rule, UnsupportedConfigError; then all is as it was.
        """
        self._networks.apply(networks)
        if self._others is not None:
            self._others.welcome(networks)

    def remove(self, *names: str) -> None:
        """Have no rules for these networks any more; those that there are none for count as done."""
        self._networks.remove(names)
        if self._others is not None:
            self._others.forget(names)

    def protect(self, *ports: PortRules) -> None:
        """Have these filters before these ports, all or none, instead of what stood there.

        A port need not be there yet: its rules go by its name. So a guest sends nothing before them.
        Raises: OperationFailedError naming the port and the rule, OperationUnsupportedError,
        NetworkFilterNotFoundError; then all is as it was.
        """
        self._ports.protect(ports)

    def release(self, *hosts: str) -> None:
        """Have no filter before these ports any more, named by their ends on the host; unknown ones count as done."""
        self._ports.release(hosts)

    def refilter(self) -> None:
        """Have the filters before all ports say what their definitions say by now, all or none.

        Raises: as `protect`.
        """
        self._ports.refilter()

    def filters(self) -> frozenset[str]:
        """Return the names of the filters that stand before ports."""
        return self._ports.filters()

    def drops(self, host: str) -> Mapping[str, int]:
        """Return how many frames of a port were dropped, by the filter's chain, such as {"mac": 3}."""
        return self._ports.drops(host)

    def look_around(self) -> None:
        """Look again whether others' firewalls let networks be: theirs have changed."""
        if self._others is not None:
            self._others.welcome(self._networks.asked)

    def made(self, process: int) -> bool:
        """Whether a process that changed rules was one of ours. In a PID namespace none is: notices have the host's."""
        return process in tuple(self._nft.processes)

    def restore(self) -> tuple[str, ...]:
        """Put back what was asked for and is not there any more, or not as it was; return in words what that was."""
        return (*self._networks.restore(), *self._ports.restore())
