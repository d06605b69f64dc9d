"""Children of a mapped value, added, taken away and exchanged; what is foreign beside the others stays beside them."""

from dataclasses import replace
from typing import Any, TypeVar

from insula.model.xmlmap import Foreign, Mapped, Place

AnyMapped = TypeVar("AnyMapped", bound=Mapped)


def with_child(owner: AnyMapped, field: str, child: Any, *, first: bool = False) -> AnyMapped:
    """Return owner with one child more in the field, as the last, or as the first."""
    children: tuple[Any, ...] = getattr(owner, field)
    if not first:
        return _replaced(owner, field, (*children, child), owner.foreign)
    return _replaced(owner, field, (child, *children), _shifted(owner.foreign, field, 1, by=1))


def with_changed_child(owner: AnyMapped, field: str, index: int, child: Any) -> AnyMapped:
    """Return owner with another child in the place of the one that stands at index."""
    children: tuple[Any, ...] = getattr(owner, field)
    return _replaced(owner, field, (*children[:index], child, *children[index + 1 :]), owner.foreign)


def without_child(owner: AnyMapped, field: str, index: int) -> AnyMapped:
    """Return owner without the child at index, and without what is foreign inside it and the comments right before."""
    children: tuple[Any, ...] = getattr(owner, field)
    place = (field, index + 1)
    kept = tuple(each for each in owner.foreign if place not in (each.place.inside, each.place.before))
    return _replaced(owner, field, (*children[:index], *children[index + 1 :]), _shifted(kept, field, index + 1, by=-1))


def _replaced(owner: AnyMapped, field: str, children: tuple[Any, ...], foreign: tuple[Foreign, ...]) -> AnyMapped:
    changes: dict[str, Any] = {field: children, "foreign": foreign}
    return replace(owner, **changes)


def _shifted(foreign: tuple[Foreign, ...], field: str, start: int, *, by: int) -> tuple[Foreign, ...]:
    """Return foreign with its places moved by so many children, from the one numbered start on."""

    def moved(place: tuple[str, int] | None) -> tuple[str, int] | None:
        if place is None or place[0] != field or place[1] < start:
            return place
        return (field, place[1] + by) if place[1] + by > 0 else None

    return tuple(
        replace(
            each,
            place=Place(
                inside=moved(each.place.inside), before=moved(each.place.before), after=moved(each.place.after)
            ),
        )
        for each in foreign
    )
