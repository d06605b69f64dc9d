"""Network filters: what a guest's card may send and receive, in libvirt's language for it (`<filter>`).

A rule's values may be variables (`$IP`), which are known only where a filter is used; so they are kept as text, and
checked as far as that goes (`model.filterattributes`).
"""

import re
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cache
from typing import Annotated
from uuid import UUID, uuid4

from lxml import etree

from insula.errorcodes import ErrorDomain
from insula.errors import InsulaError, XmlError
from insula.model.filterattributes import FilterProtocol, check_value
from insula.model.foreign import ForeignAttribute
from insula.model.interfaces import FilterParameter
from insula.model.scalars import FilterName, YesNo
from insula.model.xmlmap import Attribute, Element, Mapped, Name, plan_of
from insula.model.xmlreader import local_name, read
from insula.model.xmlsource import fault, parse
from insula.model.xmlwriter import dump

PRIORITY = (-1000, 1000)
RULE_PRIORITY = 500
"""Of a rule that says none."""
ROOT = "root"
"""The chain that every frame meets, and that leads to the others."""
CHAIN_PRIORITIES = {
    "stp": -810,
    "mac": -800,
    "vlan": -750,
    "ipv4": -700,
    "ipv6": -600,
    "arp": -500,
    "rarp": -400,
    ROOT: 0,
}
"""How chains' names begin, and what priority those have that say none. Source: libvirt's network filter format."""
_CHAIN = re.compile(r"(?:stp|mac|vlan|ipv4|ipv6|arp|rarp)[A-Za-z0-9_.:-]*\Z")
_CHAIN_MAX = 12
_PARAMETER_NAME = re.compile(r"[A-Za-z0-9_]+\Z")
_PARAMETER_VALUE = re.compile(r"[A-Za-z0-9_.:]+\Z")


class RuleAction(StrEnum):
    ACCEPT = "accept"
    DROP = "drop"
    REJECT = "reject"
    RETURN = "return"
    CONTINUE = "continue"


class RuleDirection(StrEnum):
    """As the guest sees it: in is what comes to it."""

    IN = "in"
    OUT = "out"
    INOUT = "inout"


class EntryKind(StrEnum):
    RULE = "rule"
    FILTER_REFERENCE = "filterref"


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleMatch(Mapped):
    """`<mac>`, `<ip>`, `<tcp>`, …: the frames that a rule is about: those that have every value that is given.

    match: no, and it is about those that differ in each.
    """

    protocol: Annotated[FilterProtocol, Name()]
    match: Annotated[YesNo | None, Attribute("match")] = None
    src_mac: Annotated[str | None, Attribute("srcmacaddr")] = None
    src_mac_mask: Annotated[str | None, Attribute("srcmacmask")] = None
    dst_mac: Annotated[str | None, Attribute("dstmacaddr")] = None
    dst_mac_mask: Annotated[str | None, Attribute("dstmacmask")] = None
    protocol_id: Annotated[str | None, Attribute("protocolid")] = None
    vlan_id: Annotated[str | None, Attribute("vlanid")] = None
    encapsulated: Annotated[str | None, Attribute("encap-protocol")] = None
    arp_src_mac: Annotated[str | None, Attribute("arpsrcmacaddr")] = None
    arp_dst_mac: Annotated[str | None, Attribute("arpdstmacaddr")] = None
    arp_src_ip: Annotated[str | None, Attribute("arpsrcipaddr")] = None
    arp_src_ip_mask: Annotated[str | None, Attribute("arpsrcipmask")] = None
    arp_dst_ip: Annotated[str | None, Attribute("arpdstipaddr")] = None
    arp_dst_ip_mask: Annotated[str | None, Attribute("arpdstipmask")] = None
    hardware_type: Annotated[str | None, Attribute("hwtype")] = None
    opcode: Annotated[str | None, Attribute("opcode")] = None
    protocol_type: Annotated[str | None, Attribute("protocoltype")] = None
    gratuitous: Annotated[str | None, Attribute("gratuitous")] = None
    src_ip: Annotated[str | None, Attribute("srcipaddr")] = None
    src_ip_mask: Annotated[str | None, Attribute("srcipmask")] = None
    dst_ip: Annotated[str | None, Attribute("dstipaddr")] = None
    dst_ip_mask: Annotated[str | None, Attribute("dstipmask")] = None
    src_ip_from: Annotated[str | None, Attribute("srcipfrom")] = None
    src_ip_to: Annotated[str | None, Attribute("srcipto")] = None
    dst_ip_from: Annotated[str | None, Attribute("dstipfrom")] = None
    dst_ip_to: Annotated[str | None, Attribute("dstipto")] = None
    ip_protocol: Annotated[str | None, Attribute("protocol")] = None
    src_port_start: Annotated[str | None, Attribute("srcportstart")] = None
    src_port_end: Annotated[str | None, Attribute("srcportend")] = None
    dst_port_start: Annotated[str | None, Attribute("dstportstart")] = None
    dst_port_end: Annotated[str | None, Attribute("dstportend")] = None
    type: Annotated[str | None, Attribute("type")] = None
    type_end: Annotated[str | None, Attribute("typeend")] = None
    code: Annotated[str | None, Attribute("code")] = None
    code_end: Annotated[str | None, Attribute("codeend")] = None
    dscp: Annotated[str | None, Attribute("dscp")] = None
    connection_limit: Annotated[str | None, Attribute("connlimit-above")] = None
    state: Annotated[str | None, Attribute("state")] = None
    flags: Annotated[str | None, Attribute("flags")] = None
    ip_set: Annotated[str | None, Attribute("ipset")] = None
    ip_set_flags: Annotated[str | None, Attribute("ipsetflags")] = None
    comment: Annotated[str | None, Attribute("comment")] = None

    @property
    def given(self) -> dict[str, str]:
        """The values, by their names in XML."""
        return {name: value for field_, name in _values() if (value := getattr(self, field_)) is not None}


@cache
def _values() -> tuple[tuple[str, str], ...]:
    """Return the fields of a match that are values, each with its name in XML."""
    return tuple((each.field, each.label[1:]) for each in plan_of(RuleMatch).attributes if each.field != "match")


@dataclass(frozen=True, kw_only=True, slots=True)
class FilterEntry(Mapped):
    """`<rule>`, or `<filterref>`: another filter, whose rules stand here too. What each has and the other has not:

    filter, parameters: of a reference; the others: of a rule. state_match: "false" or "0": the answers to what an
    accepting rule is about are not accepted by it.
    """

    kind: Annotated[EntryKind, Name()]
    filter: Annotated[FilterName | None, Attribute("filter")] = None
    parameters: Annotated[tuple[FilterParameter, ...], Element("parameter")] = ()
    action: Annotated[RuleAction | None, Attribute("action")] = None
    direction: Annotated[RuleDirection | None, Attribute("direction")] = None
    priority: Annotated[int | None, Attribute("priority", within=PRIORITY)] = None
    state_match: Annotated[str | None, Attribute("statematch")] = None
    match: Annotated[
        RuleMatch | None,
        Element(FilterProtocol.MAC.value, others=tuple(each.value for each in FilterProtocol)[1:]),
    ] = None

    @property
    def tracks(self) -> bool:
        """Whether an accepting rule accepts the answers too."""
        return self.state_match is None


@dataclass(frozen=True, kw_only=True, slots=True)
class FilterDefinition(Mapped):
    """`<filter>`. chain: where its rules stand; priority: of that chain among the others."""

    name: Annotated[FilterName, Attribute("name")]
    chain: Annotated[str, Attribute("chain")] = ROOT
    priority: Annotated[int | None, Attribute("priority", within=PRIORITY)] = None
    uuid: Annotated[UUID, Element("uuid")] = field(default_factory=uuid4)
    entries: Annotated[
        tuple[FilterEntry, ...], Element(EntryKind.RULE.value, others=(EntryKind.FILTER_REFERENCE.value,))
    ] = ()

    @property
    def references(self) -> tuple[str, ...]:
        """The names of the filters that it refers to."""
        return tuple(each.filter for each in self.entries if each.filter is not None)

    @property
    def chain_priority(self) -> int:
        return self.priority if self.priority is not None else default_priority(self.chain)


def default_priority(chain: str) -> int:
    """Return the priority of a chain whose filters say none."""
    return max(((len(prefix), priority) for prefix, priority in CHAIN_PRIORITIES.items() if chain.startswith(prefix)))[
        1
    ]


def load_filter(xml: str, *, bounded: bool = True) -> FilterDefinition:
    """Return the filter that xml describes, with libvirt's defaults filled in.

    bounded: not for a document of our own.
    Raises: XmlError with the line, what stands there and what was expected.
    """
    try:
        root = parse(xml, bounded=bounded)
        if root.tag != "filter":
            raise fault(root, f"the document is a <{local_name(root)}>, expected a <filter>")
        definition = read(FilterDefinition, root)
        _check(definition, root)
        return _completed(definition)
    except InsulaError as error:
        error.domain = ErrorDomain.NWFILTER
        raise


def dump_filter(definition: FilterDefinition) -> str:
    """Return a filter as XML, canonical. Raises: InvalidArgumentError if a text holds what XML cannot."""
    return dump(definition, "filter")


def _completed(definition: FilterDefinition) -> FilterDefinition:
    entries = tuple(
        replace(each, priority=RULE_PRIORITY) if each.kind is EntryKind.RULE and each.priority is None else each
        for each in definition.entries
    )
    priority = definition.priority
    if priority is None and definition.chain != ROOT:
        priority = default_priority(definition.chain)
    return replace(definition, priority=priority, entries=entries)


def _check(definition: FilterDefinition, root: etree._Element) -> None:
    """Refuse what the table of facts cannot tell. Raises: XmlError."""
    chain = definition.chain
    if chain != ROOT and (not _CHAIN.match(chain) or len(chain) > _CHAIN_MAX):
        beginnings = ", ".join(f"'{each}'" for each in CHAIN_PRIORITIES if each != ROOT)
        raise fault(
            root,
            f"'{chain}', expected '{ROOT}' or a name of at most {_CHAIN_MAX} characters that begins with one of "
            f"{beginnings}",
            attribute="chain",
        )
    elements = [each for each in root if each.tag in (EntryKind.RULE.value, EntryKind.FILTER_REFERENCE.value)]
    for element, entry in zip(elements, definition.entries, strict=True):
        if entry.kind is EntryKind.RULE:
            _check_rule(entry, element)
        else:
            _check_reference(entry, element, definition.name)


def _check_reference(entry: FilterEntry, element: etree._Element, own_name: str) -> None:
    if entry.filter is None:
        raise fault(element, "has no attribute 'filter', expected a filter's name")
    if entry.filter == own_name:
        raise fault(element, "the filter refers to itself", attribute="filter")
    for each in entry.parameters:
        if not _PARAMETER_NAME.match(each.name) or not _PARAMETER_VALUE.match(each.value):
            raise fault(
                element,
                f"the parameter '{each.name}' is '{each.value}', expected a name of letters, digits and '_', and a "
                "value of those, '.' and ':'",
            )


def _check_rule(entry: FilterEntry, element: etree._Element) -> None:
    for attribute, value in (("action", entry.action), ("direction", entry.direction)):
        if value is None:
            raise fault(element, f"has no attribute '{attribute}'")
    if entry.state_match is not None and entry.state_match.lower() not in ("false", "0"):
        raise fault(element, f"'{entry.state_match}', expected 'false' or '0'", attribute="statematch")
    if entry.match is None:
        for each in element:
            if isinstance(each.tag, str):
                protocols = ", ".join(f"<{each.value}>" for each in FilterProtocol)
                raise fault(each, f"<{local_name(each)}> is no protocol, expected one of {protocols}")
        return
    within = next(each for each in element if each.tag == entry.match.protocol.value)
    for unknown in entry.match.foreign:
        # What is not understood here would make a rule match more than its author meant.
        if isinstance(unknown.item, ForeignAttribute) and not unknown.item.namespace:
            raise fault(within, f"<{entry.match.protocol.value}> has no such attribute", attribute=unknown.item.name)
    others = [each for each in element if isinstance(each.tag, str) and each is not within]
    if others:
        raise fault(others[0], "a rule is about one protocol; make another rule of it")
    for attribute, text in entry.match.given.items():
        try:
            check_value(entry.match.protocol, attribute, text)
        except ValueError as error:
            raise fault(within, str(error), attribute=attribute, kind=XmlError) from error
