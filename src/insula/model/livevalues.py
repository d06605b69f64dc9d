"""What of a document belongs to a running domain only, taken away from the values themselves, without writing XML."""

from dataclasses import MISSING, fields, replace
from typing import Any, TypeVar

from insula.model.xmlmap import CompiledFact, Mapped, Part, plan_of

AnyMapped = TypeVar("AnyMapped", bound=Mapped)


def without_live(value: AnyMapped) -> AnyMapped:
    """Return value as it would be read from a document that shows only its definition; value itself if it is that."""
    plan = plan_of(type(value))
    changes: dict[str, Any] = {}
    for each in (*plan.attributes, *plan.elements):
        content = getattr(value, each.field)
        if content is None or content is False or (each.mapped is None and each.fact.live is None):
            continue
        kept = _kept(each, content, type(value))
        if kept is not content:
            changes[each.field] = kept
    return replace(value, **changes) if changes else value


def _kept(plan: CompiledFact, content: Any, cls: type[Mapped]) -> Any:
    if plan.repeats:
        kept = tuple(_inner(plan, each) for each in content if plan.fact.is_read(each, Part.DEFINITION))
        same = len(kept) == len(content) and all(new is old for new, old in zip(kept, content, strict=True))
        return content if same else kept
    return _inner(plan, content) if plan.fact.is_read(content, Part.DEFINITION) else _default(cls, plan.field)


def _inner(plan: CompiledFact, item: Any) -> Any:
    return without_live(item) if plan.mapped is not None else item


def _default(cls: type[Mapped], field: str) -> Any:
    """What a field is where nothing is said."""
    default = next(each.default for each in fields(cls) if each.name == field)
    return None if default is MISSING else default
