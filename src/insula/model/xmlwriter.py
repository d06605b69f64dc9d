"""Mapped values to XML, canonical as libvirt writes: facts in declared order, two spaces a level, `'` as quote."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from insula.model import foreign as foreign_xml
from insula.model.foreign import escaped_attribute, escaped_text
from insula.model.sizes import KiB
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
    plan_of,
)


def dump(value: Mapped, root: str, parts: Part = Part.DEFINITION, *, prefixes: Iterable[str] = ()) -> str:
    """Return value as the element root, ending in a line end.

    parts: what beside the definition is written; prefixes: namespaces declared at the root, not where they are used.
    Raises: InvalidArgumentError if a text holds what XML cannot.
    """
    out: list[str] = []
    _write(value, root, "", out, parts, {}, tuple(prefixes))
    return "".join(out)


def _write(
    value: Mapped,
    tag: str,
    indent: str,
    out: list[str],
    parts: Part,
    declared: Mapping[str, str],
    hoisted: tuple[str, ...] = (),
) -> None:
    """Append value's lines. declared: URIs by prefix in outer elements; hoisted: prefixes this one shall declare."""
    plan = plan_of(type(value))
    start = [f"{indent}<{tag}"]
    start += (_attribute(each, getattr(value, each.field), parts) for each in plan.attributes)
    for each in (*hoisted, *_prefixes(plan, value, tag, parts)):
        if each and declared.get(each) != NAMESPACES[each]:
            start.append(f" xmlns:{each}='{NAMESPACES[each]}'")
            declared = {**declared, each: NAMESPACES[each]}
    if value.foreign:
        written, declared = _foreign_attributes((each for each in value.foreign if not each.place.inside), declared)
        start.append(written)
    if plan.text is not None:
        text = getattr(value, plan.text.field)
        body = [] if text is None else [escaped_text(plan.text.scalar.write(text))]
        body.append(_inline(value.foreign, declared))
        start.append(_unit(plan.text))
        out.append(_element("".join(start), tag, "".join(body)))
        return
    children: list[str] = []
    _write_children(value, indent + "  ", children, parts, declared)
    if children:
        out += (*start, ">\n", *children, f"{indent}</{tag}>\n")
    else:
        out += (*start, "/>\n")


def _prefixes(plan: ClassPlan, value: Mapped, tag: str, parts: Part) -> Iterator[str]:
    """Yield the prefixes of an element's name and of its attributes; '' for none."""
    yield tag.rpartition(":")[0]
    for each in plan.attributes:
        if ":" in each.label and _attribute(each, getattr(value, each.field), parts):
            yield each.label[1:].partition(":")[0]


def _write_children(value: Mapped, indent: str, out: list[str], parts: Part, declared: Mapping[str, str]) -> None:
    kept = _ForeignContent(value.foreign, declared)
    out += kept.lines(Place(), indent)
    for plan in plan_of(type(value)).elements:
        content = getattr(value, plan.field)
        for count, item in enumerate(_items(plan, content), start=1):
            place = (plan.field, count)
            out += kept.lines(Place(before=place), indent)
            if plan.fact.is_shown(item, parts):
                if plan.mapped is not None:
                    _write(item, _tag(plan, item), indent, out, parts, declared)
                else:
                    out.append(_leaf(plan, item, indent, kept.inside(place), declared))
            out += kept.lines(Place(after=place), indent)
        out += kept.rest(plan.field, indent)


def _items(plan: CompiledFact, content: Any) -> tuple[Any, ...]:
    """Return a field's content as the children it becomes."""
    if plan.repeats:
        return tuple(content)
    return () if content is None or content is False else (content,)


class _ForeignContent:
    """The foreign things of one element, handed out where they belong."""

    __slots__ = ("_declared", "_inside", "_nodes")

    def __init__(self, foreign: tuple[Foreign, ...], declared: Mapping[str, str]) -> None:
        self._declared = declared
        self._nodes: dict[Place, list[foreign_xml.ForeignElement | foreign_xml.Markup]] = {}
        self._inside: dict[tuple[str, int], list[Foreign]] = {}
        for each in foreign:
            if each.place.inside is not None:
                self._inside.setdefault(each.place.inside, []).append(each)
            elif not isinstance(each.item, foreign_xml.ForeignAttribute):
                self._nodes.setdefault(each.place, []).append(each.item)

    def inside(self, place: tuple[str, int]) -> list[Foreign]:
        return self._inside.get(place, []) if self._inside else []

    def lines(self, place: Place, indent: str) -> list[str]:
        """Return the lines of what stands at place."""
        if not self._nodes:
            return []
        return [
            line for item in self._nodes.pop(place, ()) for line in foreign_xml.lines_of(item, indent, self._declared)
        ]

    def rest(self, field: str, indent: str) -> list[str]:
        """Return the lines of what stood by children of field that are no longer there."""
        gone = [each for each in self._nodes if (each.before or each.after or ("", 0))[0] == field]
        return [line for place in gone for line in self.lines(place, indent)]


def _tag(plan: CompiledFact, item: Mapped) -> str:
    """Return the element's name: the fact's, unless the item itself says which."""
    assert isinstance(plan.fact, Element)
    named = plan_of(type(item)).name
    return named.scalar.write(getattr(item, named.field)) if named is not None else plan.fact.name


def _attribute(plan: CompiledFact, content: Any, parts: Part) -> str:
    if content is None or not plan.fact.is_shown(content, parts):
        return ""
    assert isinstance(plan.fact, Attribute)
    return f" {plan.fact.name}='{escaped_attribute(plan.scalar.write(content))}'{_unit(plan)}"


def _leaf(plan: CompiledFact, content: Any, indent: str, inside: list[Foreign], declared: Mapping[str, str]) -> str:
    """Return the line of a child that is a single fact."""
    assert isinstance(plan.fact, Element)
    start = f"{indent}<{plan.fact.name}"
    body = ""
    if plan.fact.attribute is not None:
        start += f" {plan.fact.attribute}='{escaped_attribute(plan.scalar.write(content))}'"
    elif plan.shape is not Shape.FLAG:
        start += _unit(plan)
        body = escaped_text(plan.scalar.write(content))
    if inside:
        attributes, declared = _foreign_attributes(inside, declared)
        start += attributes
        body += _inline(inside, declared)
    return _element(start, plan.fact.name, body)


def _element(start: str, tag: str, body: str) -> str:
    return f"{start}>{body}</{tag}>\n" if body else f"{start}/>\n"


def _unit(plan: CompiledFact) -> str:
    """Return the attribute that names the unit of a size, if there is one."""
    return f" {plan.fact.unit}='{'KiB' if plan.kind is KiB else 'bytes'}'" if plan.fact.unit else ""


def _inline(foreign: Iterable[Foreign], declared: Mapping[str, str]) -> str:
    """Return foreign nodes inside a single fact, where there is no room for white space."""
    items = (each.item for each in foreign)
    return "".join(
        foreign_xml.inline(item, declared) for item in items if not isinstance(item, foreign_xml.ForeignAttribute)
    )


def _foreign_attributes(foreign: Iterable[Foreign], declared: Mapping[str, str]) -> tuple[str, Mapping[str, str]]:
    """Return the foreign attributes of one element with the declarations they need, and what is declared inside."""
    out: list[str] = []
    for each in foreign:
        if isinstance(each.item, foreign_xml.ForeignAttribute):
            prefix = each.item.name.rpartition(":")[0]
            if prefix and prefix != "xml" and declared.get(prefix) != each.item.namespace:
                out.append(f" xmlns:{prefix}='{escaped_attribute(each.item.namespace)}'")
                declared = {**declared, prefix: each.item.namespace}
            out.append(f" {each.item.name}='{escaped_attribute(each.item.value)}'")
    return "".join(out), declared
