"""Which parts of a document, beside the definition itself, a value has something of."""

import functools
from collections.abc import Callable
from typing import Any, cast

from insula.model.xmlmap import CompiledFact, Mapped, Part, plan_of


def parts_in(value: Mapped) -> Part:
    """Return the parts that something in value, or below it, belongs to. Others change nothing in its text."""
    found = Part.DEFINITION
    for each in _telling(type(value)):
        for item in _items(each, getattr(value, each.field)):
            if each.fact.live is not None and each.fact.live(item):
                found |= Part.LIVE
            if each.fact.secret is not None and each.fact.secret(item):
                found |= Part.SECRET
            if each.mapped is not None:
                found |= parts_in(item)
    return found


def _items(fact: CompiledFact, content: Any) -> tuple[Any, ...]:
    if fact.repeats:
        return tuple(content)
    return () if content is None or content is False else (content,)


def _told_by(cls: type[Mapped]) -> tuple[CompiledFact, ...]:
    """Return the facts of a class that can belong to a part, or have something below them that can."""
    plan = plan_of(cls)
    facts = (*plan.attributes, *plan.elements, *(() if plan.text is None else (plan.text,)))
    return tuple(each for each in facts if _tells(each))


def _tells(fact: CompiledFact) -> bool:
    own = fact.fact.live is not None or fact.fact.secret is not None
    return own or (fact.mapped is not None and bool(_telling(fact.mapped)))


_telling = cast("Callable[[type[Mapped]], tuple[CompiledFact, ...]]", functools.cache(_told_by))
