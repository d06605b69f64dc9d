"""The words of nftables' JSON: commands on one table, and the expressions that rules are made of.

Names and values stand in JSON strings, so that nothing in them can be read as another word.
Source: libnftables-json(5).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

Expression = dict[str, Any]
"""A statement of a rule, or what a match looks at."""
Command = dict[str, Any]
"""One command of a transaction: {"add": {"rule": …}}."""

COMMENT_MAX = 120
"""Bytes of a rule's comment; the kernel's tools take 128 with what they put around it."""


class TableFamily(Enum):
    """Whose packets a table sees. INET: IPv4 and IPv6 of the host; BRIDGE: frames on their way over bridges."""

    INET = "inet"
    BRIDGE = "bridge"


@dataclass(frozen=True, kw_only=True, slots=True)
class Hook:
    """Where a base chain stands on a packet's way. type: filter or nat; priority: lower ones see it earlier."""

    name: str
    priority: int
    type: str = "filter"


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A table of ours, and the commands on it."""

    family: TableFamily
    name: str

    def add(self) -> Command:
        return {"add": {"table": {"family": self.family.value, "name": self.name}}}

    def delete(self) -> Command:
        return {"delete": {"table": {"family": self.family.value, "name": self.name}}}

    def chain(self, name: str, hook: Hook | None = None) -> list[Command]:
        """Have an empty chain: added if it is not there, flushed if it is."""
        said = self._of(name=name)
        if hook is not None:
            said |= {"type": hook.type, "hook": hook.name, "prio": hook.priority, "policy": "accept"}
        return [{"add": {"chain": said}}, self.flush_chain(name)]

    def delete_chain(self, name: str) -> Command:
        return {"delete": {"chain": self._of(name=name)}}

    def rule(self, chain: str, why: str, *statements: Expression) -> Command:
        """why: what the rule is for, for whoever lists the table."""
        comment = why.encode()[:COMMENT_MAX].decode(errors="ignore").replace('"', "'")
        return {"add": {"rule": self._of(chain=chain, comment=comment, expr=list(statements))}}

    def verdict_map(self, name: str) -> Command:
        """Have a map from interfaces' names to chains."""
        return {"add": {"map": self._of(name=name, type="ifname", map="verdict")}}

    def element(self, map_: str, interface: str, chain: str) -> Command:
        return {"add": {"element": self._of(name=map_, elem=[[interface, {"jump": {"target": chain}}]])}}

    def delete_element(self, map_: str, interface: str) -> Command:
        return {"delete": {"element": self._of(name=map_, elem=[interface])}}

    def counter(self, name: str) -> Command:
        """Have a counter; one that is there keeps what it has counted."""
        return {"add": {"counter": self._of(name=name)}}

    def delete_counter(self, name: str) -> Command:
        return {"delete": {"counter": self._of(name=name)}}

    def address_set(self, name: str) -> Command:
        """Have a set with room for one IPv4 address, which rules put there."""
        return {"add": {"set": self._of(name=name, type="ipv4_addr", size=1)}}

    def delete_set(self, name: str) -> Command:
        return {"delete": {"set": self._of(name=name)}}

    def flush_chain(self, name: str) -> Command:
        return {"flush": {"chain": self._of(name=name)}}

    def _of(self, **what: Any) -> Command:
        return {"family": self.family.value, "table": self.name, **what}


def match(left: Expression, right: Any, op: str = "==") -> Expression:
    return {"match": {"op": op, "left": left, "right": right}}


def other(left: Expression, right: Any) -> Expression:
    """Match where left is not right."""
    return match(left, right, "!=")


def field(protocol: str, name: str) -> Expression:
    """A field of a header, such as ("ip", "saddr")."""
    return {"payload": {"protocol": protocol, "field": name}}


def meta(key: str) -> Expression:
    return {"meta": {"key": key}}


INCOMING, OUTGOING = meta("iifname"), meta("oifname")


def tracked(key: str, *values: str) -> Expression:
    """Match what connection tracking says of a packet, such as ("state", "established", "related")."""
    return match({"ct": {"key": key}}, list(values) if len(values) > 1 else values[0], "in")


def one_of(values: Iterable[Any]) -> Any:
    """Return a set of these values, or the value itself if it is one."""
    listed = list(values)
    return listed[0] if len(listed) == 1 else {"set": listed}


def span(first: Any, last: Any) -> Any:
    """Return the values from first to last, or the value itself if it is one."""
    return first if first == last else {"range": [first, last]}


def prefix(network: IPv4Network | IPv6Network) -> Any:
    address = str(network.network_address)
    return address if network.prefixlen == network.max_prefixlen else _prefix(address, network.prefixlen)


def _prefix(address: str, length: int) -> Expression:
    return {"prefix": {"addr": address, "len": length}}


def protocol_of(address: IPv4Address | IPv6Address | IPv4Network | IPv6Network) -> str:
    """Return the word for the header that such an address stands in."""
    return "ip" if address.version == 4 else "ip6"


def lookup(left: Expression, map_: str) -> Expression:
    """Go on where a map says, by name, for the value of left; else with the next rule."""
    return {"vmap": {"key": left, "data": f"@{map_}"}}


RETURN: Expression = {"return": None}
DROP: Expression = {"drop": None}
ACCEPT: Expression = {"accept": None}
REFUSE: Expression = {"reject": {"type": "icmpx", "expr": "admin-prohibited"}}
"""Tells the sender that he may not, so that his program ends at once instead of waiting."""


def counted(counter: str) -> Expression:
    return {"counter": counter}
