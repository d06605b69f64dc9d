"""From a network's rules to nftables' commands: pure.

One table of the family inet for all networks of an installation. What crosses the host meets the chain `forward`, which
looks up the bridge it came from, then the one it goes to, in a map each: so it costs the same however many networks
there are. A chain returns what it has nothing against, and refuses the rest; others' tables are asked all the same.
Each network that translates has base chains of its own for that: only the first packet of a connection meets those.

    table inet insula {
        map from { type ifname : verdict; elements = { "virbr0" : jump from/default } }
        map to { … }
        chain forward { type filter hook forward …; iifname vmap @from; oifname vmap @to }
        chain from/default { … }        what guests send
        chain to/default { … }          what is sent to guests
        chain source/default { type nat hook postrouting … }
        chain arriving/default { type nat hook prerouting … }     forwarded ports
        chain own/default { type nat hook output … }              the same for the host's own connections
    }
"""

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, ip_network

from insula.network.firewall.chainnames import chain_name
from insula.network.firewall.networkrules import ForwardedPort, NetworkPrefix, NetworkRules, Reach
from insula.network.firewall.nftwords import (
    INCOMING,
    OUTGOING,
    REFUSE,
    RETURN,
    Command,
    Expression,
    Hook,
    Table,
    field,
    lookup,
    match,
    meta,
    one_of,
    other,
    prefix,
    protocol_of,
    span,
    tracked,
)

FROM, TO, FORWARD = "from", "to", "forward"
_FORWARD = Hook(name="forward", priority=0)
_SOURCE = Hook(name="postrouting", priority=100, type="nat")
_ARRIVING = Hook(name="prerouting", priority=-100, type="nat")
_OWN = Hook(name="output", priority=-100, type="nat")
_LOCAL_ONLY: tuple[NetworkPrefix, ...] = (
    # What routers do not forward is not translated either. Sources: RFC 5771, RFC 919, RFC 4291.
    ip_network("224.0.0.0/24"),
    ip_network("255.255.255.255/32"),
    ip_network("ff02::/16"),
)
_LOOPBACK = ip_network("127.0.0.0/8")
_PORTS_OF = {"tcp": "TCP", "udp": "UDP", "sctp": "SCTP"}


def frame(table: Table) -> list[Command]:
    """Have the table, its maps, and the chain that looks into them."""
    return [
        table.add(),
        table.verdict_map(FROM),
        table.verdict_map(TO),
        *table.chain(FORWARD, _FORWARD),
        table.rule(FORWARD, "what guests of a network send", lookup(INCOMING, FROM)),
        table.rule(FORWARD, "what is sent to guests of a network", lookup(OUTGOING, TO)),
    ]


def chains_of(rules: NetworkRules) -> dict[str, Hook | None]:
    """Return the chains a network has, by name, each with its hook."""
    kinds: dict[str, Hook | None] = {}
    if rules.reach is not Reach.OPEN:
        kinds |= {FROM: None, TO: None}
    if rules.reach is Reach.NAT or rules.forwards:
        kinds |= {"source": _SOURCE}
    if rules.forwards:
        kinds |= {"arriving": _ARRIVING, "own": _OWN}
    return {chain_name(kind, rules.name): hook for kind, hook in kinds.items()}


def chains_named(name: str) -> frozenset[str]:
    """Return every chain that a network of that name may have."""
    return frozenset(chain_name(kind, name) for kind in (FROM, TO, "source", "arriving", "own"))


def network_commands(table: Table, rules: NetworkRules) -> list[Command]:
    """Have the chains of one network, filled anew, and lead its bridge's packets through them."""
    commands: list[Command] = []
    for chain, hook in chains_of(rules).items():
        commands += table.chain(chain, hook)
    if rules.reach is not Reach.OPEN:
        sent, received = chain_name(FROM, rules.name), chain_name(TO, rules.name)
        commands += [table.rule(sent, why, *statements) for why, statements in _sent(rules)]
        commands += [table.rule(received, why, *statements) for why, statements in _received(rules)]
        commands += [table.element(FROM, rules.bridge, sent), table.element(TO, rules.bridge, received)]
    translation = [*(_translated(rules) if rules.reach is Reach.NAT else ()), *_turned_around(rules)]
    commands += [table.rule(chain_name("source", rules.name), why, *statements) for why, statements in translation]
    return [*commands, *_forward_commands(table, rules.name, rules.forwards)]


def changed_forwards(table: Table, former: NetworkRules, wanted: NetworkRules) -> list[Command] | None:
    """Return what makes a network's rules those that are wanted, if only forwarded ports differ, and some stay.

    Ports that come behind those that there are cost no more than themselves; else all of them are said anew. None:
    more than that differs, or nothing.
    """
    only_forwards = former != wanted and replace(former, forwards=wanted.forwards) == wanted
    if not only_forwards or not former.forwards or not wanted.forwards:
        return None
    known = len(former.forwards)
    if wanted.forwards[:known] == former.forwards:
        return _forward_commands(table, wanted.name, wanted.forwards[known:])
    anew = [table.flush_chain(chain_name(kind, wanted.name)) for kind in ("arriving", "own")]
    return [*anew, *_forward_commands(table, wanted.name, wanted.forwards)]


def _forward_commands(table: Table, name: str, forwards: tuple[ForwardedPort, ...]) -> list[Command]:
    commands: list[Command] = []
    for each in forwards:
        commands += [table.rule(chain_name("arriving", name), why, *said) for why, said in _arriving(each)]
        commands += [table.rule(chain_name("own", name), why, *said) for why, said in _own(each)]
    return commands


_Said = tuple[str, list[Expression]]


def _sent(rules: NetworkRules) -> Iterator[_Said]:
    if rules.parted_by is not None:
        # To the bridge's own address comes what is to be routed; frames that the bridge itself passes may be seen here.
        back = [match(OUTGOING, rules.bridge), match(field("ether", "daddr"), rules.parted_by)]
        yield "forwarded ports", [*back, tracked("status", "dnat"), RETURN]
        yield "guests are kept apart, by way of the host too", [*back, REFUSE]
    yield "between guests", [match(OUTGOING, rules.bridge), RETURN]
    if rules.reach is not Reach.ISOLATED:
        if rules.devices:
            yield f"outside is behind {', '.join(rules.devices)}", [other(OUTGOING, one_of(rules.devices)), REFUSE]
        for protocol, subnets in _by_protocol(rules.subnets):
            own = match(field(protocol, "saddr"), one_of(map(prefix, subnets)))
            yield "guests send by addresses of the network", [own, RETURN]
    yield _nothing_else(rules), [REFUSE]


def _received(rules: NetworkRules) -> Iterator[_Said]:
    yield "between guests", [match(INCOMING, rules.bridge), RETURN]
    if rules.reach is not Reach.ISOLATED:
        if rules.devices:
            yield f"outside is behind {', '.join(rules.devices)}", [other(INCOMING, one_of(rules.devices)), REFUSE]
        for protocol, subnets in _by_protocol(rules.subnets):
            to_guests = match(field(protocol, "daddr"), one_of(map(prefix, subnets)))
            if _is_translated(rules, protocol):
                yield "answers to guests", [to_guests, tracked("state", "established", "related"), RETURN]
                yield "forwarded ports", [to_guests, tracked("status", "dnat"), RETURN]
            else:
                yield "to addresses of the network", [to_guests, RETURN]
    yield _nothing_else(rules), [REFUSE]


def _nothing_else(rules: NetworkRules) -> str:
    return "the network is isolated" if rules.reach is Reach.ISOLATED else "nothing else"


def _translated(rules: NetworkRules) -> Iterator[_Said]:
    for protocol, subnets in _by_protocol(rules.subnets):
        if not _is_translated(rules, protocol):
            continue
        ours = one_of(map(prefix, subnets))
        from_guests = match(field(protocol, "saddr"), ours)
        local = [each for each in _LOCAL_ONLY if protocol_of(each) == protocol]
        yield (
            "no router forwards these",
            [from_guests, match(field(protocol, "daddr"), one_of(map(prefix, local))), RETURN],
        )
        outside = [from_guests, other(field(protocol, "daddr"), ours)]
        by_address = protocol == "ip" and rules.nat_addresses is not None
        if rules.nat_ports is not None:
            transports = match(meta("l4proto"), one_of(("tcp", "udp")))
            yield "by the host's address and ports", [*outside, transports, _by(rules, by_address, with_ports=True)]
        yield "by the host's address", [*outside, _by(rules, by_address, with_ports=False)]


def _by(rules: NetworkRules, by_address: bool, *, with_ports: bool) -> Expression:
    said: Expression = {"port": span(*rules.nat_ports)} if with_ports and rules.nat_ports else {}
    if by_address and rules.nat_addresses:
        first, last = map(str, rules.nat_addresses)
        return {"snat": {"family": "ip", "addr": span(first, last), **said}}
    return {"masquerade": said or None}


def _turned_around(rules: NetworkRules) -> Iterator[_Said]:
    """What a guest sends to a forwarded port that is a guest's: the answer takes the way back through the host."""
    if rules.forwards:
        for protocol, subnets in _by_protocol(rules.subnets):
            ours = one_of(map(prefix, subnets))
            both = [match(field(protocol, "saddr"), ours), match(field(protocol, "daddr"), ours)]
            yield "guests at forwarded ports", [*both, tracked("status", "dnat"), {"masquerade": None}]


def _arriving(forward: ForwardedPort) -> Iterator[_Said]:
    where = [match(INCOMING, forward.from_device)] if forward.from_device else []
    yield _forwarded(forward, [*where, _to_host(forward)])


def _own(forward: ForwardedPort) -> Iterator[_Said]:
    """The host's own connections; those to 127.0.0.0/8 never leave lo, whatever their address is made."""
    if forward.from_device is None:
        outer = [other(field("ip", "daddr"), prefix(_LOOPBACK))] if forward.to_address.version == 4 else []
        yield _forwarded(forward, [*outer, _to_host(forward)])


def _to_host(forward: ForwardedPort) -> Expression:
    if forward.address is not None:
        return match(field(protocol_of(forward.address), "daddr"), str(forward.address))
    # Not the port of any address that a packet passes on its way to: those of this host alone.
    return match({"fib": {"result": "type", "flags": ["daddr"]}}, "local")


def _forwarded(forward: ForwardedPort, where: list[Expression]) -> _Said:
    transport, protocol = forward.transport.value, protocol_of(forward.to_address)
    ports = field(transport, "dport")
    last = forward.port + forward.count - 1
    to: Expression = {"family": protocol, "addr": str(forward.to_address)}
    if forward.count == 1:
        to["port"] = forward.to_port
    elif forward.port != forward.to_port:
        pairs = [[forward.port + each, forward.to_port + each] for each in range(forward.count)]
        to["port"] = {"map": {"key": ports, "data": {"set": pairs}}}
    family = match(meta("nfproto"), "ipv4" if protocol == "ip" else "ipv6")
    why = f"{_PORTS_OF[transport]} {forward.port} is {forward.to_port} of {forward.to_address}"
    return why, [family, *where, match(ports, span(forward.port, last)), {"dnat": to}]


def _is_translated(rules: NetworkRules, protocol: str) -> bool:
    return rules.reach is Reach.NAT and (protocol == "ip" or rules.nat_ipv6)


def _by_protocol(subnets: tuple[NetworkPrefix, ...]) -> Iterator[tuple[str, list[NetworkPrefix]]]:
    for kind, protocol in ((IPv4Network, "ip"), (IPv6Network, "ip6")):
        if own := [each for each in subnets if isinstance(each, kind)]:
            yield protocol, own
