"""From a port's filter to nftables' commands: pure.

One table of the family bridge for all ports of an installation; maps lead from a port's name to its chains, so that a
frame costs the same however many ports there are. Frames meet a port's rules twice, as libvirt has it: first those for
frames, then those for what IP carries in them, and pass if both let them.

    table bridge insula {
        map frames-from { type ifname : verdict; elements = { "vnet0" : jump frames-from/vnet0 } }
        map frames-to { … }  map packets-from { … }  map packets-to { … }
        chain sent { type filter hook prerouting …; iifname vmap @frames-from }
        …
        chain frames-from/vnet0 { jump frames-from/vnet0/mac; … }
        chain frames-from/vnet0/mac { ether saddr 52:54:00:12:34:56 return; counter name "vnet0/mac" drop }
        counter vnet0/mac { }
        set learnt/vnet0 { … }      where the guest's address is the first that it uses
    }
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from insula.model.filterattributes import ETHER_TYPES, FilterProtocol
from insula.model.nwfilter import CHAIN_PRIORITIES, ROOT, RuleAction, RuleDirection
from insula.network.firewall.chainnames import chain_name
from insula.network.firewall.filterrules import LEARNT, FilterRule
from insula.network.firewall.framematches import looks_at, reversed_values
from insula.network.firewall.nftwords import (
    ACCEPT,
    DROP,
    INCOMING,
    OUTGOING,
    RETURN,
    Command,
    Expression,
    Hook,
    Table,
    counted,
    lookup,
    match,
    one_of,
    other,
    tracked,
)
from insula.network.firewall.nftwords import field as header_field
from insula.network.firewall.portrules import PortRules
from insula.network.firewall.tablelisting import expected_of


class Stage(Enum):
    """Where rules of a port stand; the value is also the name of the map that leads there."""

    FRAMES_FROM = "frames-from"
    PACKETS_FROM = "packets-from"
    FRAMES_TO = "frames-to"
    PACKETS_TO = "packets-to"

    @property
    def sending(self) -> bool:
        """Whether it is what the guest sends."""
        return self in (Stage.FRAMES_FROM, Stage.PACKETS_FROM)

    @property
    def of_frames(self) -> bool:
        return self in (Stage.FRAMES_FROM, Stage.FRAMES_TO)


_BASES = {
    # Connection tracking of bridged packets begins at -200. Source: nf_conntrack_bridge in Linux.
    Stage.FRAMES_FROM: ("sent-frames", Hook(name="prerouting", priority=-300)),
    Stage.PACKETS_FROM: ("sent-packets", Hook(name="prerouting", priority=-150)),
    Stage.FRAMES_TO: ("received-frames", Hook(name="postrouting", priority=200)),
    Stage.PACKETS_TO: ("received-packets", Hook(name="postrouting", priority=210)),
}
_REJECT: Expression = {"reject": None}
_ANY_ADDRESS = "0.0.0.0"
_TAGS = ("8021q", "8021ad")
_TAG: Expression = {"payload": {"base": "ll", "offset": 112, "len": 16}}
_FRAGMENT_OFFSET: Expression = {"exthdr": {"name": "frag", "field": "frag-off"}}
_CARRIED_WORD: Expression = {"payload": {"base": "th", "offset": 0, "len": 32}}
_HIDDEN = "hidden-fragments"
_VLAN_BITS = 0xFFF
"""Of a tag, which stands behind two MAC addresses and its own kind. Source: IEEE 802.1Q, 9.6."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PortChains:
    """What there is of one port in the table, by name. chains: the comments of each one's rules."""

    maps: frozenset[str] = frozenset()
    chains: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    counters: frozenset[str] = frozenset()
    sets: frozenset[str] = frozenset()

    def without(self, others: "PortChains") -> "PortChains":
        return PortChains(
            maps=self.maps - others.maps,
            chains={name: rules for name, rules in self.chains.items() if name not in others.chains},
            counters=self.counters - others.counters,
            sets=self.sets - others.sets,
        )


def port_frame(table: Table) -> list[Command]:
    """Have the table, its maps, and the chains that look into them."""
    commands = [table.add()]
    for stage, (base, hook) in _BASES.items():
        commands.append(table.verdict_map(stage.value))
        commands += table.chain(base, hook)
        name = INCOMING if stage.sending else OUTGOING
        commands.append(table.rule(base, stage.value.replace("-", " ") + " a port", lookup(name, stage.value)))
    return commands


def port_commands(table: Table, port: PortRules, rules: Sequence[FilterRule]) -> list[Command]:
    """Have the chains of one port, filled anew, and lead its frames through them.

    Raises: OperationUnsupportedError for what nftables has no words for.
    """
    learnt = set_name(port.host)
    learns = any(LEARNT in each.values.values() for each in rules)
    made: list[Command] = [table.address_set(learnt)] if learns else []
    fill: list[Command] = []
    lead: list[Command] = []
    for stage in Stage:
        chains = _Chains(table, port, stage)
        own = [each for each in rules if _stands_in(each, stage)]
        teaches = learns and stage is Stage.FRAMES_FROM
        hidden = stage.of_frames and _may_be_hidden_from(rules, stage)
        if not own and not teaches and not hidden:
            continue
        if hidden:
            fill.append(chains.without_priority_tags())
            if _may_be_carried_past(rules, stage):
                fill += chains.without_hidden_fragments()
        if teaches:
            fill += [chains.rule(ROOT, why, *said) for why, said in _learning(port, learnt)]
        fill += list(chains.filled(own, learnt))
        made += chains.made()
        lead.append(table.element(stage.value, port.host, chains.root))
    return [*made, *fill, *lead]


def port_removal(table: Table, host: str, there: PortChains) -> list[Command]:
    """Have nothing of a port any more that is there."""
    return [
        *(table.delete_element(each, host) for each in sorted(there.maps)),
        *(table.flush_chain(each) for each in sorted(there.chains)),
        *(table.delete_chain(each) for each in sorted(there.chains)),
        *(table.delete_counter(each) for each in sorted(there.counters)),
        *(table.delete_set(each) for each in sorted(there.sets)),
    ]


def counter_name(host: str, chain: str) -> str:
    return chain_name(chain_name("dropped", host), chain)


def set_name(host: str) -> str:
    return chain_name("learnt", host)


def made_by(commands: Collection[Command]) -> PortChains:
    """Return what commands of one port make."""
    found: dict[str, set[str]] = {"element": set(), "counter": set(), "set": set()}
    for each in commands:
        for noun, said in each.get("add", {}).items():
            if noun in found:
                found[noun].add(said["name"])
    return PortChains(
        maps=frozenset(found["element"]),
        chains=expected_of(commands).chains,
        counters=frozenset(found["counter"]),
        sets=frozenset(found["set"]),
    )


def _stands_in(rule: FilterRule, stage: Stage) -> bool:
    of_frames = rule.protocol is None or rule.protocol.of_frames
    if of_frames is not stage.of_frames:
        return False
    if rule.direction is RuleDirection.INOUT or (rule.direction is RuleDirection.OUT) is stage.sending:
        return True
    return _accepts_answers(rule)


def _accepts_answers(rule: FilterRule) -> bool:
    """Whether a rule for one way says something of the other: that answers to what it accepts are accepted.

    Not where a rule names a type of ICMP, since the answer has another.
    """
    return (
        rule.action is RuleAction.ACCEPT
        and rule.protocol is not None
        and not rule.protocol.of_frames
        and rule.direction is not RuleDirection.INOUT
        and rule.tracks
        and "type" not in rule.values
        and "state" not in rule.values
    )


def _may_be_hidden_from(rules: Sequence[FilterRule], stage: Stage) -> bool:
    """Whether a tag before a frame would keep it from rules of this way that drop; rules for tags say themselves."""
    own_way = [each for each in rules if any(_stands_in(each, of) for of in Stage if of.sending is stage.sending)]
    drops = any(each.action in (RuleAction.DROP, RuleAction.REJECT) for each in own_way)
    return drops and not any(each.protocol is FilterProtocol.VLAN for each in own_way)


def _may_be_carried_past(rules: Sequence[FilterRule], stage: Stage) -> bool:
    """Whether a rule of this way drops by what IPv6 carries, which a first fragment need not show."""
    return any(
        each.action in (RuleAction.DROP, RuleAction.REJECT)
        and each.protocol is not None
        and each.protocol.of_ipv6
        and (not each.protocol.of_frames or "protocol" in each.values)
        for each in rules
        if any(_stands_in(each, of) for of in Stage if of.sending is stage.sending)
    )


class _Chains:
    """The chains of one port in one stage."""

    def __init__(self, table: Table, port: PortRules, stage: Stage) -> None:
        self._table, self._port, self._stage = table, port, stage
        self.root = chain_name(stage.value, port.host)
        self._names: dict[str, str] = {ROOT: self.root}
        self._counters: set[str] = set()

    def made(self) -> list[Command]:
        """Have the chains and counters that `filled` and `rule` have asked for."""
        chains = [command for name in self._names.values() for command in self._table.chain(name)]
        return [*chains, *(self._table.counter(each) for each in sorted(self._counters))]

    def rule(self, chain: str, why: str, *statements: Expression) -> Command:
        return self._table.rule(self._names[chain], why, *statements)

    def without_priority_tags(self) -> Command:
        """Drop frames with a tag of no VLAN: who gets one takes what is behind the tag as if it had none."""
        counter = counter_name(self._port.host, "priority-tagged")
        self._counters.add(counter)
        tagged = match(header_field("ether", "type"), one_of(_TAGS))
        none = match({"&": [_TAG, _VLAN_BITS]}, 0)
        return self.rule(ROOT, "a tag of no VLAN hides the frame", tagged, none, counted(counter), DROP)

    def without_hidden_fragments(self) -> list[Command]:
        """Drop first fragments of IPv6 without the beginning of what they carry: rules would take them for nothing, and
        the receiver puts them together with the rest. No host needs to send such (RFC 7112)."""
        counter = counter_name(self._port.host, _HIDDEN)
        self._counters.add(counter)
        self._names[_HIDDEN] = chain_name(self.root, _HIDDEN)
        first = [match(header_field("ether", "type"), ETHER_TYPES["ipv6"]), match(_FRAGMENT_OFFSET, 0)]
        there = match(_CARRIED_WORD, 0, ">=")
        return [
            self.rule(ROOT, "first fragments", *first, {"jump": {"target": self._names[_HIDDEN]}}),
            self.rule(_HIDDEN, "it shows what it carries", there, RETURN),
            self.rule(_HIDDEN, "it hides what it carries", counted(counter), DROP),
        ]

    def filled(self, rules: Sequence[FilterRule], learnt: str) -> Iterator[Command]:
        ordered = sorted(rules, key=lambda each: each.priority)
        if not self._stage.of_frames:
            # As libvirt has it, rules for what IP carries stand in no chain but that of their port.
            for each in ordered:
                yield from self._said(ROOT, each, learnt)
            return
        subchains: dict[str, int] = {}
        for each in rules:
            if each.chain != ROOT:
                subchains.setdefault(each.chain, each.chain_priority)
                self._names.setdefault(each.chain, chain_name(self.root, each.chain))
        # What leads to a chain stands among the rules by the chain's priority, before those of the same.
        steps: list[tuple[int, int, str | FilterRule]] = [(priority, 0, name) for name, priority in subchains.items()]
        steps += [(each.priority, 1, each) for each in ordered if each.chain == ROOT]
        for _, _, step in sorted(steps, key=lambda each: each[:2]):
            if isinstance(step, str):
                kind = _kind_of_chain(step)
                yield self.rule(ROOT, f"chain {step}", *kind, {"jump": {"target": self._names[step]}})
            else:
                yield from self._said(ROOT, step, learnt)
        for each in ordered:
            if each.chain != ROOT:
                yield from self._said(each.chain, each, learnt)

    def _said(self, chain: str, rule: FilterRule, learnt: str) -> Iterator[Command]:
        if rule.action is RuleAction.CONTINUE:
            return
        own_way = rule.direction is RuleDirection.INOUT or (rule.direction is RuleDirection.OUT) is self._stage.sending
        # A rule for both ways says what comes to the guest.
        backwards = not own_way or (rule.direction is RuleDirection.INOUT and self._stage.sending)
        values = reversed_values(rule.values) if backwards else rule.values
        looked_at = looks_at(rule, values, learnt)
        if not own_way:
            looked_at.append(tracked("state", "established"))
        elif _accepts_answers(rule):
            looked_at.append(tracked("state", "new", "established"))
        statements = [*looked_at, *self._verdict(rule)]
        yield self.rule(chain, f"{rule.of} {rule.priority} #{_digest(statements)}", *statements)

    def _verdict(self, rule: FilterRule) -> list[Expression]:
        match rule.action:
            case RuleAction.ACCEPT:
                return [ACCEPT]
            case RuleAction.RETURN:
                return [RETURN]
        counter = counter_name(self._port.host, rule.chain)
        self._counters.add(counter)
        # The kernel tells a sender of a refusal only where his packet has just come in.
        refuses = rule.action is RuleAction.REJECT and self._stage is Stage.PACKETS_FROM
        return [counted(counter), _REJECT if refuses else DROP]


def _digest(statements: Sequence[Expression]) -> str:
    """Return what tells rules apart that differ in their values only, for whoever compares them by their comments."""
    return hashlib.sha256(json.dumps(statements).encode()).hexdigest()[:6]


def _kind_of_chain(chain: str) -> list[Expression]:
    """Return what a frame must be for a chain, by how its name begins."""
    prefix = max((each for each in CHAIN_PRIORITIES if chain.startswith(each)), key=len)
    return [match(header_field("ether", "type"), ETHER_TYPES[prefix])] if prefix in ETHER_TYPES else []


def _learning(port: PortRules, learnt: str) -> Iterator[tuple[str, list[Expression]]]:
    """The set has one place: once the guest has used an address, no other is added."""
    own = match(header_field("ether", "saddr"), port.mac)
    for looked_at in (header_field("arp", "saddr ip"), header_field("ip", "saddr")):
        learn: Expression = {"set": {"op": "add", "elem": looked_at, "set": f"@{learnt}"}}
        yield "the guest's address is the first that it uses", [own, other(looked_at, _ANY_ADDRESS), learn]
