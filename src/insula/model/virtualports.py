"""Virtual ports that a card, its network and its port group each say something about, made one."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from insula.errors import UnsupportedConfigError
from insula.model.interfaces import VirtualPort, VirtualPortParameters
from insula.model.xmlmap import plan_of


def merged_virtual_port(ports: Iterable[VirtualPort | None]) -> VirtualPort | None:
    """Return what all of ports say together; None if none says anything.

    Raises: UnsupportedConfigError if two of them say different things of one parameter.
    Source: libvirt's network XML format, "Portgroups".
    """
    merged: VirtualPort | None = None
    for each in ports:
        if each is None:
            continue
        if merged is None:
            merged = each
            continue
        merged = replace(
            merged,
            type=_agreed("type", merged.type, each.type),
            parameters=_parameters(merged.parameters, each.parameters),
        )
    return merged


def _parameters(
    first: VirtualPortParameters | None, second: VirtualPortParameters | None
) -> VirtualPortParameters | None:
    if first is None or second is None:
        return first or second
    facts = plan_of(VirtualPortParameters).attributes
    agreed = {
        each.field: _agreed(each.label[1:], getattr(first, each.field), getattr(second, each.field)) for each in facts
    }
    return replace(first, **agreed)


def _agreed(what: str, first: Any, second: Any) -> Any:
    if first is not None and second is not None and first != second:
        raise UnsupportedConfigError(
            f"the virtual port's {what} is '{first}' in one place and '{second}' in another; the interface, its "
            "network and its portgroup must agree"
        )
    return second if first is None else first
