"""What others' rules keep a network from, as `iptables -S` tells it, and the rules that would let it be: pure.

Docker sets the policy of FORWARD to DROP, and so does ufw by its default; then what our rules have nothing against goes
nowhere all the same. Rules that accept a network's packets there open nothing: ours are asked too.
"""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from insula.network.firewall.networkrules import NetworkRules, Reach

_DOCKER_CHAIN = "DOCKER-USER"
"""Where Docker wants others' rules, and leaves them alone."""
_SERVICES = {4: (("udp", 67), ("udp", 53), ("tcp", 53)), 6: (("udp", 547), ("udp", 53), ("tcp", 53))}
"""What guests ask the host for, by the version of IP: addresses and names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FilterListing:
    """What `iptables -S` tells of the table filter. policies: of its own chains; rules: as they are written there."""

    policies: Mapping[str, str]
    chains: frozenset[str]
    rules: tuple[tuple[str, ...], ...]

    @property
    def owner(self) -> str:
        """Who is known to set such policies."""
        if _DOCKER_CHAIN in self.chains:
            return "Docker"
        return "ufw" if any(each.startswith("ufw-") for each in self.chains) else "a firewall of this host"


@dataclass(frozen=True, kw_only=True, slots=True)
class Obstacle:
    """What a network's packets meet. text: in words, with what to do; rules: the arguments of iptables for that."""

    text: str
    rules: tuple[tuple[str, ...], ...]


def read_listing(text: str) -> FilterListing:
    policies: dict[str, str] = {}
    chains: set[str] = set()
    rules: list[tuple[str, ...]] = []
    for line in text.splitlines():
        match shlex.split(line):
            case ["-P", name, policy, *_]:
                policies[name] = policy
                chains.add(name)
            case ["-N", name]:
                chains.add(name)
            case ["-A", *rest]:
                rules.append(tuple(rest))
    return FilterListing(policies=policies, chains=frozenset(chains), rules=tuple(rules))


def obstacles_in(listing: FilterListing, rules: NetworkRules, version: int) -> Iterator[Obstacle]:
    """Yield what keeps guests of a network from what its own rules let them do. version: of IP, whose listing it is."""
    if rules.reach is Reach.OPEN or not any(each.version == version for each in rules.subnets):
        return
    program, bridge = "iptables" if version == 4 else "ip6tables", rules.bridge
    if listing.policies.get("FORWARD") == "DROP" and rules.reach is not Reach.ISOLATED:
        chain = _DOCKER_CHAIN if _DOCKER_CHAIN in listing.chains else "FORWARD"
        crossing = [(chain, "-i", bridge, "-j", "ACCEPT"), (chain, "-o", bridge, "-j", "ACCEPT")]
        if missing := _missing(listing, crossing):
            why = f"what crosses this host (policy DROP of FORWARD): guests of the network '{rules.name}' reach nothing"
            what_to_do = _told(listing, program, missing, bridge)
            text = f"{listing.owner} drops {why} beyond it by IPv{version}: {what_to_do}"
            yield Obstacle(text=text, rules=tuple(missing))
    if listing.policies.get("INPUT") == "DROP":
        asked = [
            ("INPUT", "-i", bridge, "-p", transport, "--dport", str(port), "-j", "ACCEPT")
            for transport, port in _SERVICES[version]
        ]
        if missing := _missing(listing, asked):
            why = f"what is sent to this host (policy DROP of INPUT): guests of the network '{rules.name}' get no"
            what_to_do = _told(listing, program, missing, bridge)
            text = f"{listing.owner} drops {why} addresses and names by IPv{version}: {what_to_do}"
            yield Obstacle(text=text, rules=tuple(missing))


def _missing(listing: FilterListing, wanted: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    return [each for each in wanted if not _accepted(listing, each)]


def _accepted(listing: FilterListing, wanted: tuple[str, ...]) -> bool:
    """Whether somebody has a rule that accepts all this, or all that comes from, or goes to, the bridge."""
    where, interface = wanted[1:3]
    for _chain, *rule in listing.rules:
        if rule[-2:] != ["-j", "ACCEPT"] or _pair(rule, where) != interface:
            continue
        if all(_pair(rule, each) in (None, _pair(wanted, each)) for each in ("-p", "--dport")):
            return True
    return False


def _pair(rule: Sequence[str], option: str) -> str | None:
    """Return what follows an option in a rule, None without it."""
    return rule[rule.index(option) + 1] if option in rule[:-1] else None


def _told(listing: FilterListing, program: str, missing: Sequence[tuple[str, ...]], bridge: str) -> str:
    commands = [f"{program} -I {' '.join(each)}" for each in missing]
    if listing.owner == "ufw":
        crossing = [f"ufw route allow in on {bridge}", f"ufw route allow out on {bridge}"]
        commands = [f"ufw allow in on {bridge}"] if missing[0][0] == "INPUT" else crossing
    said = " and ".join(f"'{each}'" for each in commands)
    return f"say {said}, or let insulad do it (mend_other_firewalls in insulad.toml)"
