"""Any value a mapped class can hold, made from its annotations: a new fact is tested from its first day."""

from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from pathlib import PurePosixPath
from typing import Any, TypeVar
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from insula.model.foreign import ForeignElement, Markup
from insula.model.scalars import (
    Bound,
    BusNumber,
    DomainName,
    FileMode,
    IpAddresses,
    MacAddress,
    NetworkName,
    PciBus,
    PciDomain,
    PciFunction,
    PortRanges,
    ProgramPath,
    UsbId,
)
from insula.model.sizes import UNSIGNED_LONG_MAX, CpuSet, KiB
from insula.model.xmlmap import CompiledFact, Mapped, Shape, plan_of

AnyMapped = TypeVar("AnyMapped", bound=Mapped)

# Everything XML 1.0 can hold; carriage returns, tabs and line ends are the interesting ones.
TEXTS = st.text(
    st.one_of(
        st.sampled_from("ab'\"<>&\t\n\r ]é\U0001f40d"),
        st.characters(min_codepoint=0x20, max_codepoint=0xFFFD, exclude_categories=["Cs"]),
    ),
    max_size=12,
)

_SEGMENTS = st.text(st.sampled_from("ab.-_ é'&"), min_size=1, max_size=6).filter(lambda text: text not in (".", ".."))
_HEX_PAIRS = st.integers(0, 255).map("{:02x}".format)

_NOUN_NAMES = st.text(st.sampled_from("abz09-_. é&'"), min_size=1, max_size=64).filter(
    lambda name: bool(name.strip()) and not name.startswith(".")
)

_IP_ADDRESSES = st.ip_addresses().filter(lambda address: "%" not in str(address))
_PORTS = st.integers(0, 65535)

BY_TYPE: dict[object, SearchStrategy[Any]] = {
    str: TEXTS,
    int: st.integers(0, UNSIGNED_LONG_MAX),
    UUID: st.uuids(),
    ProgramPath: st.one_of(_SEGMENTS.filter(str.strip), st.just("/bin/sh")).map(
        lambda path: ProgramPath(PurePosixPath(path))
    ),
    PurePosixPath: st.lists(_SEGMENTS, max_size=4).map(lambda parts: PurePosixPath("/", *parts)),
    CpuSet: st.frozensets(st.integers(0, 300), min_size=1, max_size=8),
    MacAddress: st.lists(_HEX_PAIRS, min_size=5, max_size=5).map(lambda pairs: ":".join(("52", *pairs))),
    UsbId: st.integers(0, 0xFFFF),
    BusNumber: st.integers(0, 0xFFFF),
    Bound: st.integers(-1, 2**63 - 1),
    FileMode: st.integers(0, 0o7777),
    PciDomain: st.integers(0, 0xFFFF),
    PciBus: st.integers(0, 0xFF),
    PciFunction: st.integers(0, 7),
    IPv4Address: st.ip_addresses(v=4),
    frozenset({IPv4Address, IPv6Address}): _IP_ADDRESSES,
    IpAddresses: st.lists(_IP_ADDRESSES, max_size=3).map(tuple),
    PortRanges: st.lists(st.tuples(_PORTS, _PORTS), max_size=3).map(tuple),
    DomainName: _NOUN_NAMES,
    NetworkName: _NOUN_NAMES,
}


def values(cls: type[AnyMapped]) -> SearchStrategy[AnyMapped]:
    """Return a strategy for cls, without anything foreign in it."""
    plan = plan_of(cls)
    plans = (*plan.attributes, *plan.elements, *filter(None, (plan.text, plan.name)))
    return st.builds(cls, **{each.field: _field(each) for each in plans})


def _field(plan: CompiledFact) -> SearchStrategy[Any]:
    one = st.deferred(lambda: _single(plan))
    if plan.repeats:
        return st.one_of(st.just(()), st.lists(one, max_size=2).map(tuple))
    if plan.shape is Shape.FLAG:
        return st.booleans()
    return st.one_of(st.none(), one) if plan.optional else one


def _single(plan: CompiledFact) -> SearchStrategy[Any]:
    if plan.mapped is not None:
        return values(plan.mapped)
    if plan.shape is Shape.SIZE:
        lowest = 1 if plan.fact.zero_is_none else 0
        return st.integers(lowest, UNSIGNED_LONG_MAX // (1024 if plan.kind is KiB else 1))
    if plan.fact.within is not None:
        numbers = st.integers(*plan.fact.within)
        return numbers.filter(bool) if plan.fact.zero_is_none else numbers
    if isinstance(plan.kind, type) and issubclass(plan.kind, Enum):
        return st.sampled_from(plan.kind)
    return BY_TYPE[plan.kind]


_NAMES = st.sampled_from(("a", "b", "p:a", "q:b", "future"))
_URIS = {"p": "urn:example:p", "q": "urn:example:q"}
_MARKUP = st.sampled_from(("<!--c-->", "<!-- two\n lines -->", "<?do it?>")).map(Markup)
_INNER_TEXT = TEXTS.filter(bool)


def _declared(name: str, attributes: dict[str, str]) -> tuple[tuple[str, str], ...]:
    prefixes = {each.partition(":")[0] for each in (name, *attributes) if ":" in each}
    return tuple(sorted((prefix, _URIS[prefix]) for prefix in prefixes))


def trees() -> SearchStrategy[ForeignElement]:
    """Return foreign trees as they are after reading: no white space between elements, declarations where needed."""
    attributes = st.dictionaries(_NAMES, TEXTS, max_size=2)
    leaves = st.one_of(st.just(()), _INNER_TEXT.map(lambda text: (text,)))

    def node(name: str, given: dict[str, str], content: tuple[Any, ...]) -> ForeignElement:
        return ForeignElement(
            name=name,
            attributes=tuple(given.items()),
            declarations=_declared(name, given),
            content=tuple(_inside(each, dict(_declared(name, given))) for each in content),
        )

    def around(children: SearchStrategy[ForeignElement]) -> SearchStrategy[ForeignElement]:
        content = st.lists(st.one_of(children, _MARKUP), max_size=3).map(tuple)
        return st.builds(node, _NAMES, attributes, content)

    return st.recursive(st.builds(node, _NAMES, attributes, leaves), around, max_leaves=8)


def _inside(item: Any, scope: dict[str, str]) -> Any:
    """Return a child without the declarations that scope makes needless."""
    if not isinstance(item, ForeignElement):
        return item
    needed = tuple(each for each in item.declarations if scope.get(each[0]) != each[1])
    inner = {**scope, **dict(needed)}
    content = tuple(_inside(each, inner) for each in item.content)
    return ForeignElement(name=item.name, attributes=item.attributes, declarations=needed, content=content)
