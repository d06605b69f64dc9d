"""What a domain loses on its way into another format and back: found out by comparing both, so nothing is missed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lxml import etree

from insula.conversion.findings import Consequence, ConversionFinding
from insula.model.domain import DomainDefinition
from insula.model.numbers import XmlFlags
from insula.model.visible import visible
from insula.model.xmlmap import NAMESPACES
from insula.model.xmlsource import parse

_PREFIXES = {uri: prefix for prefix, uri in NAMESPACES.items()}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something of a domain cannot be said in a format, and what to do."""

    why: str
    advice: str = ""


GENERAL_REASONS: Mapping[str, Reason] = {
    "uuid": Reason("it has no UUID", "write it down where it matters: the domain gets another one"),
    "title": Reason("it has no titles"),
    "description": Reason("it has no descriptions"),
    "metadata": Reason("it keeps nothing for others"),
    "comment()": Reason("comments are not carried along"),
    "maxMemory": Reason("memory is not plugged in slots"),
    "currentMemory": Reason("it has one limit of memory, the lowest"),
    "memory": Reason("it has one limit of memory, the lowest"),
    "memtune": Reason("it has no such limit of memory"),
    "vcpu": Reason("it has no number of processors, or no such one"),
    "vcpus": Reason("it has no single processors"),
    "cputune": Reason("it has no such limit of processors"),
    "numatune": Reason("it has no such choice of NUMA nodes"),
    "blkiotune": Reason("it has no such limit of block devices"),
    "resource": Reason("where control groups are is not told to it"),
    "os/type/@arch": Reason("it has no architecture"),
    "os/init": Reason("it has no first program of its own"),
    "os/initarg": Reason("it has no arguments of the first program"),
    "os/initdir": Reason("it has no working directory of the first program"),
    "os/inituser": Reason("it has no user of the first program, or no name of one"),
    "os/initgroup": Reason("it has no group of the first program, or no name of one"),
    "os/initenv": Reason("its value is hidden, or cannot be written there", "dump the domain with --security-info"),
    "idmap": Reason("what ids a guest has is told in another way"),
    "features": Reason("it has no such feature"),
    "features/capabilities": Reason("it has no such policy, or what is off is so anyway"),
    "features/privnet": Reason("a network of its own is what there is anyway"),
    "clock": Reason("guests have the host's clocks"),
    "on_poweroff": Reason("it does not say what follows an end"),
    "on_reboot": Reason("it does not say what follows an end"),
    "on_crash": Reason("it does not say what follows an end"),
    "devices/emulator": Reason("no program stands for a guest"),
    "devices/disk": Reason("it gives no block devices, or not this way"),
    "devices/filesystem": Reason("it has no such file system", "mount it on the host, and show that directory"),
    "devices/interface": Reason("it has no such network, or no such part of one"),
    "devices/console": Reason("consoles are what it makes of them"),
    "devices/hostdev": Reason("it gives no such device"),
    "devices": Reason("a container has no such device"),
    "seclabel": Reason("labels are of one host"),
    "lxc:namespace": Reason("it shares no such namespace"),
    "": Reason("it knows no such thing"),
}
"""What is true of most formats; `it` is the other program's configuration."""


def losses(
    before: DomainDefinition, after: DomainDefinition, reasons: Mapping[str, Reason]
) -> tuple[ConversionFinding, ...]:
    """Return what after, read back from what was written of before, has not or has otherwise.

    reasons: by the place in the XML, such as `devices/disk`, beside the general ones; the longest one counts.
    """
    found: list[ConversionFinding] = []
    known = {**GENERAL_REASONS, **reasons}
    for place, shown, consequence in _differences(_tree(before), _tree(after)):
        reason = _reason(place, known)
        found.append(
            ConversionFinding(consequence=consequence, key=visible(shown), why=reason.why, advice=reason.advice)
        )
    return tuple(found)


def _reason(place: str, reasons: Mapping[str, Reason]) -> Reason:
    fitting = [each for each in reasons if place == each or place.startswith((f"{each}/", f"{each}@")) or not each]
    return reasons[max(fitting, key=len)]


def _tree(domain: DomainDefinition) -> etree._Element:
    return parse(domain.dump(XmlFlags.INACTIVE | XmlFlags.SECURE), bounded=False)


def _name(element: etree._Element) -> str:
    tag = etree.QName(element)
    prefix = _PREFIXES.get(tag.namespace or "")
    return f"{prefix}:{tag.localname}" if prefix else tag.localname


def _attribute(name: str) -> str:
    tag = etree.QName(name)
    prefix = _PREFIXES.get(tag.namespace or "")
    return f"@{prefix}:{tag.localname}" if prefix else f"@{tag.localname}"


Difference = tuple[str, str, Consequence]
"""Where it is by names alone, where it is for people, and what became of it."""


def _differences(
    before: etree._Element, after: etree._Element, place: str = "", shown: str = ""
) -> Iterator[Difference]:
    names = sorted({str(each) for each in (*before.attrib, *after.attrib)})
    for name in names:
        old, new = before.get(name), after.get(name)
        if old != new:
            label = _attribute(name)
            yield f"{place}{label}", f"{shown}{label}", Consequence.LOST if new is None else Consequence.CHANGED
    if (before.text or "").strip() != (after.text or "").strip():
        gone = not (after.text or "").strip()
        yield place.rstrip("/"), shown.rstrip("/"), Consequence.LOST if gone else Consequence.CHANGED
    yield from _children(before, after, place, shown)


def _children(before: etree._Element, after: etree._Element, place: str, shown: str) -> Iterator[Difference]:
    olds, news = _labelled(before), _labelled(after)
    for label, (name, old) in olds.items():
        if label not in news:
            yield f"{place}{name}", f"{shown}{label}", Consequence.LOST
        else:
            yield from _differences(old, news[label][1], f"{place}{name}/", f"{shown}{label}/")
    for label, (name, _) in news.items():
        if label not in olds:
            yield f"{place}{name}", f"{shown}{label}", Consequence.CHANGED
    if _comments(before) > _comments(after):
        yield f"{place}comment()", f"{shown}comment()", Consequence.LOST


def _comments(element: etree._Element) -> int:
    return sum(not isinstance(each.tag, str) for each in element)


def _labelled(element: etree._Element) -> dict[str, tuple[str, etree._Element]]:
    """Return the children by what tells them apart: what a device is for, else its place among those of its name."""
    found: dict[str, tuple[str, etree._Element]] = {}
    numbers: dict[str, int] = {}
    for child in element:
        if not isinstance(child.tag, str):
            continue
        name = _name(child)
        label = mark = f"{name}{_marks(name, child)}"
        number = numbers.get(mark, 1)
        while label in found:
            number += 1
            label = f"{mark}[{number}]"
        numbers[mark] = number
        found[label] = name, child
    return found


def _mark(*path: str) -> Callable[[etree._Element], str]:
    """Return what tells by an attribute of the element, or of a child of it."""
    *children, attribute = path

    def mark(element: etree._Element) -> str:
        holder = element.find("/".join(children)) if children else element
        value = holder.get(attribute) if holder is not None else None
        return f"[{value}]" if value else ""

    return mark


def _text_mark(*path: str) -> Callable[[etree._Element], str]:
    """Return what tells by the text of a child."""

    def mark(element: etree._Element) -> str:
        text = element.findtext("/".join(path))
        return f"[{text}]" if text else ""

    return mark


_MARKS: Mapping[str, Sequence[Callable[[etree._Element], str]]] = {
    "filesystem": (_mark("target", "dir"),),
    "disk": (_mark("target", "dev"),),
    "interface": (_mark("mac", "address"),),
    "hostdev": (_text_mark("source", "block"), _text_mark("source", "char"), _text_mark("source", "interface")),
    "initenv": (_mark("name"),),
    "insula:rlimit": (_mark("name"),),
    "insula:sysctl": (_mark("name"),),
}
"""By what people know one of several."""


def _marks(name: str, element: etree._Element) -> str:
    return "".join(mark(element) for mark in _MARKS.get(name, ()))
