"""XML elements to mapped values: strict about what a fact claims, keeping everything else with its place.

An element that says nothing is none, as libvirt has it: `<currentMemory/>`, `<mac/>`, `<filterref/>`, and a 0 where 0
stands for none. What it has beside its fact is kept.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from lxml import etree

from insula.errors import UnsupportedConfigError, XmlError
from insula.model import foreign as foreign_xml
from insula.model.scalars import RangeError, read_integer
from insula.model.sizes import KiB, bytes_of, kib_of
from insula.model.xmlmap import (
    NAMESPACES,
    Attribute,
    ClassPlan,
    CompiledFact,
    Element,
    Foreign,
    Mapped,
    Part,
    Place,
    Shape,
    clark,
    plan_of,
)
from insula.model.xmlsource import fault, parse

AnyMapped = TypeVar("AnyMapped", bound=Mapped)


def load(cls: type[AnyMapped], root: str, xml: str, parts: Part = Part.DEFINITION) -> AnyMapped:
    """Return the value that xml describes; its root element must be called root.

    parts: what beside the definition is read; live values of a document are skipped without Part.LIVE.
    Raises: XmlError with the line, the element's path, what stands there and what was expected.
    """
    element = parse(xml)
    if element.tag != clark(root):
        raise fault(element, f"the document is a <{local_name(element)}>, expected a <{root}>")
    return read(cls, element, parts)


def read(cls: type[AnyMapped], element: etree._Element, parts: Part = Part.DEFINITION) -> AnyMapped:
    """Return the value that element describes. Raises: as load."""
    table = _table(cls)
    values: dict[str, Any] = {}
    foreign: list[Foreign] = []
    _read_attributes(table, element, parts, values, foreign)
    if table.plan.name is not None:
        values[table.plan.name.field] = _value(table.plan.name, element, local_name(element))
    if table.plan.text is not None:
        values[table.plan.text.field] = _text_value(table.plan.text, element)
        foreign += (Foreign(Place(), foreign_xml.node_of(each)) for each in element if isinstance(each.tag, str))
    else:
        _read_children(table, element, parts, values, foreign)
    for each in table.required:
        if each.field not in values:
            what = f"attribute '{each.label[1:]}'" if isinstance(each.fact, Attribute) else f"<{each.label}> in it"
            wanted = f"has no {what}, expected {each.scalar.expected or 'one'}"
            raise fault(element, wanted, kind=each.fact.missing)
    if foreign:
        values["foreign"] = tuple(sorted(foreign, key=table.rank))
    return cls(**values)


@dataclass(frozen=True, kw_only=True, slots=True)
class _ReadingTable:
    """A class's plans by the names lxml uses."""

    plan: ClassPlan
    attributes: Mapping[str, CompiledFact | None]  # None: read together with another, as a unit is
    elements: Mapping[str, CompiledFact]
    required: tuple[CompiledFact, ...]
    order: Mapping[str, int]

    def rank(self, each: Foreign) -> tuple[int, int, int]:
        """Where a foreign thing comes in canonical order, so that equal documents give equal values."""
        if isinstance(each.item, foreign_xml.ForeignAttribute) and each.place.inside is None:
            return (-2, 0, 0)
        for side, place in enumerate((each.place.before, each.place.inside, each.place.after)):
            if place is not None:
                return (self.order[place[0]], place[1], side)
        return (-1, 0, 0)


def _compiled(cls: type[Mapped]) -> _ReadingTable:
    plan = plan_of(cls)
    attributes: dict[str, CompiledFact | None] = {}
    for each in (*plan.attributes, *((plan.text,) if plan.text else ())):
        if isinstance(each.fact, Attribute):
            attributes[clark(each.fact.name)] = each
        if each.fact.unit:
            attributes[each.fact.unit] = None
    elements = {
        clark(name): each for each in plan.elements if isinstance(each.fact, Element) for name in each.fact.names
    }
    everything = (*plan.attributes, *plan.elements)
    return _ReadingTable(
        plan=plan,
        attributes=attributes,
        elements=elements,
        required=tuple(each for each in everything if each.required),
        order={each.field: index for index, each in enumerate(plan.elements)},
    )


_table = cast("Callable[[type[Mapped]], _ReadingTable]", functools.cache(_compiled))


def _read_attributes(
    table: _ReadingTable, element: etree._Element, parts: Part, values: dict[str, Any], foreign: list[Foreign]
) -> None:
    for name, text in element.items():
        if name not in table.attributes:
            foreign.append(Foreign(Place(), _foreign_attribute(element, str(name), str(text))))
            continue
        plan = table.attributes[str(name)]
        if plan is not None:
            value = _value(plan, element, str(text), attribute=str(name))
            if plan.fact.is_read(value, parts):
                values[plan.field] = value


def _foreign_attribute(element: etree._Element, name: str, text: str) -> foreign_xml.ForeignAttribute:
    """Return an attribute we do not know; our own prefixes stay free for the facts of its element."""
    return foreign_xml.attribute_of(element, name, text, reserved=NAMESPACES)


def _read_children(
    table: _ReadingTable, element: etree._Element, parts: Part, values: dict[str, Any], foreign: list[Foreign]
) -> None:
    counts: dict[str, int] = {}
    last: tuple[str, int] | None = None
    comments = _stray(element.text)
    beside: list[foreign_xml.Markup] = []
    for child in element:
        comments += beside
        beside = _stray(child.tail)
        if not isinstance(child.tag, str):
            comments.append(foreign_xml.markup_of(child))
            continue
        plan = table.elements.get(child.tag)
        if plan is None:
            foreign += (Foreign(Place(after=last), each) for each in comments)
            foreign.append(Foreign(Place(after=last), foreign_xml.node_of(child)))
            comments.clear()
            continue
        if _says_nothing(plan, child):
            if len(child) or any(name not in (plan.fact.unit, _own_attribute(plan)) for name in child.attrib):
                foreign += (Foreign(Place(after=last), each) for each in comments)
                foreign.append(Foreign(Place(after=last), foreign_xml.node_of(child)))
                comments.clear()
            continue
        value = read(plan.mapped, child, parts) if plan.mapped is not None else _leaf(plan, child)
        if not plan.fact.is_read(value, parts):
            continue
        count = counts[plan.field] = counts.get(plan.field, 0) + 1
        last = (plan.field, count)
        foreign += (Foreign(Place(before=last), each) for each in comments)
        comments.clear()
        if plan.repeats:
            values.setdefault(plan.field, []).append(value)
        elif count > 1:
            raise fault(child, f"<{plan.label}> stands here a second time, expected one")
        else:
            values[plan.field] = value
        if plan.mapped is None:
            foreign += _foreign_in_leaf(plan, child, last)
    foreign += (Foreign(Place(after=last), each) for each in (*comments, *beside))
    for plan in table.plan.elements:
        if plan.repeats and plan.field in values:
            values[plan.field] = tuple(values[plan.field])


def _says_nothing(plan: CompiledFact, child: etree._Element) -> bool:
    """Whether a child that need not be there tells no value of its fact."""
    assert isinstance(plan.fact, Element)
    if plan.required or plan.repeats or plan.shape is Shape.FLAG:
        return False
    if plan.mapped is not None:
        return bool(_table(plan.mapped).required) and not (child.attrib or len(child) or _has_text(child))
    if plan.fact.attribute is not None:
        given = child.get(plan.fact.attribute)
        return not _has_text(child) and (given is None or _is_zero(plan, given))
    if plan.kind is str or len(child):
        return False
    return not _has_text(child) or _is_zero(plan, child.text)


def _own_attribute(plan: CompiledFact) -> str | None:
    return plan.fact.attribute if isinstance(plan.fact, Element) else None


def _is_zero(plan: CompiledFact, text: str | None) -> bool:
    return plan.fact.zero_is_none and (text or "").strip() == "0"


def _has_text(element: etree._Element) -> bool:
    return bool(element.text and not element.text.isspace())


def _leaf(plan: CompiledFact, child: etree._Element) -> Any:
    """Return the value of a child that is a single fact."""
    assert isinstance(plan.fact, Element)
    if plan.fact.attribute is None:
        return True if plan.shape is Shape.FLAG else _text_value(plan, child)
    if _has_text(child):
        raise fault(child, f"found the text '{child.text}', expected nothing in it")
    text = child.get(plan.fact.attribute)
    if text is None:
        wanted = f"has no attribute '{plan.fact.attribute}', expected {plan.scalar.expected}"
        raise fault(child, wanted, kind=plan.fact.missing)
    return _value(plan, child, text, attribute=plan.fact.attribute)


def _foreign_in_leaf(plan: CompiledFact, child: etree._Element, place: tuple[str, int]) -> list[Foreign]:
    """Return what a single-fact child holds beside its fact."""
    assert isinstance(plan.fact, Element)
    understood = (plan.fact.attribute, plan.fact.unit)
    return [
        Foreign(Place(inside=place), _foreign_attribute(child, str(name), str(text)))
        for name, text in child.items()
        if name not in understood
    ] + [Foreign(Place(inside=place), foreign_xml.node_of(each)) for each in child if isinstance(each.tag, str)]


def _text_value(plan: CompiledFact, element: etree._Element) -> Any:
    return _value(plan, element, (element.text or "") + "".join(each.tail or "" for each in element))


def _value(plan: CompiledFact, element: etree._Element, text: str, *, attribute: str | None = None) -> Any:
    """Return what text says as plan's type. Raises: XmlError."""
    try:
        if plan.shape is Shape.SIZE:
            return _size(plan, element, text)
        return plan.scalar.read(text)
    except ValueError as error:
        kind = UnsupportedConfigError if isinstance(error, RangeError) else XmlError
        wanted = f"found '{text}', expected {plan.scalar.expected}"
        raise fault(element, wanted, attribute=attribute, kind=kind) from error


def _size(plan: CompiledFact, element: etree._Element, text: str) -> int:
    """Return a size in the unit of its type, which is also the unit where the XML names none."""
    unit = element.get(plan.fact.unit) if plan.fact.unit else None
    total = bytes_of(read_integer(text), unit or ("KiB" if plan.kind is KiB else "bytes"))
    return kib_of(total) if plan.kind is KiB else total


def _stray(text: str | None) -> list[foreign_xml.Markup]:
    """Return the text between elements, which libvirt passes over, as it would be written; none for white space."""
    return [foreign_xml.Markup(foreign_xml.escaped_text(text.strip()))] if text and not text.isspace() else []


def local_name(element: etree._Element) -> str:
    """Return element's name without its namespace."""
    return etree.QName(element).localname
