"""A filter's rules as they are for one port: those of the filters it refers to with it, and values for variables.

Pure. What variables mean, and how lists of values are gone through: libvirt's network filter format.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from insula.errors import OperationFailedError, OperationUnsupportedError
from insula.model.filterattributes import VARIABLE, FilterProtocol, check_value
from insula.model.nwfilter import RULE_PRIORITY, EntryKind, FilterDefinition, FilterEntry, RuleAction, RuleDirection
from insula.model.scalars import YesNo
from insula.network.firewall.portrules import PortRules

FindFilter = Callable[[str], FilterDefinition]
"""The filter of a name. Raises: NetworkFilterNotFoundError."""
Variables = Mapping[str, tuple[str, ...]]

LEARNT = "@learnt"
"""The value of IP where nobody knows it: the first address that the guest uses."""
LEARNING = "CTRL_IP_LEARNING"
"""The parameter that says how IP is found out where it is not given."""
_RULES_MAX = 4096
"""Rules of one port; libvirt's own filters make some twenty."""
_DEPTH_MAX = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class FilterRule:
    """One rule of a port. values: as in XML, by their names, with nothing variable in them but `LEARNT`.

    inverted: it is about frames that differ in each value; tracks: an accepting rule accepts the answers too; of: the
    filter's name.
    """

    of: str
    chain: str
    chain_priority: int
    priority: int
    action: RuleAction
    direction: RuleDirection
    tracks: bool
    inverted: bool
    protocol: FilterProtocol | None
    values: Mapping[str, str]


def rules_of(port: PortRules, find: FindFilter) -> tuple[FilterRule, ...]:
    """Return the rules of a port, in the order in which its filters say them.

    Raises: OperationFailedError for a variable without a value, filters in a circle, or too many rules;
    OperationUnsupportedError; what find raises.
    """
    given: dict[str, tuple[str, ...]] = {}
    for name, value in port.protection.parameters:
        given[name] = (*given.get(name, ()), value)
    learning = given.get(LEARNING, ("any",))[0]
    if learning not in ("any", "none"):
        raise OperationUnsupportedError(
            f"{LEARNING}={learning} is not there; give the address as the parameter IP, or leave {LEARNING} out"
        )
    rules = list(
        itertools.islice(_rules(port.protection.filter, _known(port, learning) | given, find, ()), _RULES_MAX + 1)
    )
    if len(rules) > _RULES_MAX:
        raise OperationFailedError(
            f"the filter '{port.protection.filter}' has more than {_RULES_MAX} rules for one port; give shorter lists"
        )
    return tuple(rules)


def _known(port: PortRules, learning: str) -> dict[str, tuple[str, ...]]:
    addresses = [ip_address(each) for each in port.addresses]
    known = {
        "MAC": (port.mac,),
        "IPV6": (*(str(each) for each in addresses if each.version == 6), str(_link_local(port.mac))),
    }
    if own := tuple(str(each) for each in addresses if each.version == 4):
        known["IP"] = own
    elif learning == "any":
        known["IP"] = (LEARNT,)
    return known


def _link_local(mac: str) -> IPv6Address:
    """Return the address that a card has by itself. Source: RFC 4291, appendix A."""
    octets = bytes.fromhex(mac.replace(":", ""))
    return IPv6Address(b"\xfe\x80" + bytes(6) + bytes([octets[0] ^ 2]) + octets[1:3] + b"\xff\xfe" + octets[3:])


def _rules(name: str, variables: Variables, find: FindFilter, path: tuple[str, ...]) -> Iterator[FilterRule]:
    if name in path or len(path) > _DEPTH_MAX:
        way = " → ".join((*path, name))
        raise OperationFailedError(f"the network filters refer to each other in a circle, or too deep: {way}")
    definition = find(name)
    for entry in definition.entries:
        if entry.kind is EntryKind.RULE:
            for values in _filled(entry, variables, name):
                yield _rule(definition, entry, values)
        else:
            assert entry.filter is not None
            own: dict[str, tuple[str, ...]] = {}
            for each in entry.parameters:
                own[each.name] = (*own.get(each.name, ()), each.value)
            # What is said where the filter is used counts before what a filter says to another.
            yield from _rules(entry.filter, {**own, **variables}, find, (*path, name))


def _rule(definition: FilterDefinition, entry: FilterEntry, values: Mapping[str, str]) -> FilterRule:
    assert entry.action is not None
    assert entry.direction is not None
    return FilterRule(
        of=definition.name,
        chain=definition.chain,
        chain_priority=definition.chain_priority,
        priority=RULE_PRIORITY if entry.priority is None else entry.priority,
        action=entry.action,
        direction=entry.direction,
        tracks=entry.tracks,
        inverted=entry.match is not None and entry.match.match is YesNo.NO,
        protocol=None if entry.match is None else entry.match.protocol,
        values=values,
    )


def _filled(entry: FilterEntry, variables: Variables, of: str) -> Iterator[dict[str, str]]:
    """Yield the values of a rule, once for each of the lists' values that it goes through."""
    if entry.match is None:
        yield {}
        return
    fixed, varying = {}, {}
    for attribute, text in entry.match.given.items():
        if attribute == "comment":
            continue
        found = VARIABLE.match(text.strip())
        if found is None:
            fixed[attribute] = text
            continue
        known = variables.get(found["name"], ())
        if not known:
            raise OperationFailedError(
                f"the network filter '{of}' needs the parameter '{found['name']}'; give it where the filter is used"
            )
        if found["index"] is not None and not found["iterator"]:
            if int(found["index"]) >= len(known):
                raise OperationFailedError(
                    f"the network filter '{of}' needs value {found['index']}, counted from 0, of the parameter "
                    f"'{found['name']}', which has {len(known)}"
                )
            fixed[attribute] = known[int(found["index"])]
        else:
            varying[attribute] = (int(found["index"] or 0), found["name"], known)
    protocol = entry.match.protocol
    for chosen in _chosen(varying, of):
        values = fixed | chosen
        for attribute, text in values.items():
            if text != LEARNT:
                _checked(protocol, attribute, text, of)
        yield values


def _chosen(varying: Mapping[str, tuple[int, str, tuple[str, ...]]], of: str) -> Iterator[dict[str, str]]:
    """Yield one value for each attribute: lists of one iterator go on together, those of several each with each."""
    lengths: dict[int, int] = {}
    for iterator, _, known in varying.values():
        if len(known) > 1 and lengths.setdefault(iterator, len(known)) != len(known):
            names = ", ".join(sorted({name for number, name, _ in varying.values() if number == iterator}))
            raise OperationFailedError(
                f"the network filter '{of}' goes through the parameters {names} together, and they have different "
                "numbers of values"
            )
    iterators = sorted({iterator for iterator, _, _ in varying.values()})
    for places in itertools.product(*(range(lengths.get(each, 1)) for each in iterators)):
        place = dict(zip(iterators, places, strict=True))
        yield {
            attribute: known[place[iterator]] if len(known) > 1 else known[0]
            for attribute, (iterator, _, known) in varying.items()
        }


def _checked(protocol: FilterProtocol, attribute: str, text: str, of: str) -> None:
    try:
        check_value(protocol, attribute, text)
    except ValueError as error:
        raise OperationFailedError(
            f"the network filter '{of}' cannot be filled in: <{protocol.value}>, '{attribute}': {error}"
        ) from error
