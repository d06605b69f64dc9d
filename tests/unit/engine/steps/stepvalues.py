"""Hypothesis strategies: any value a step's declared fields admit, so that each step is tried without being listed."""

import types
import typing
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from hypothesis import strategies as some
from hypothesis.strategies import SearchStrategy

_PLAIN: dict[Any, SearchStrategy[Any]] = {
    str: some.text(max_size=8),
    int: some.integers(-(1 << 40), 1 << 40),
    bool: some.booleans(),
    type(None): some.none(),
}


def values(declared: Any) -> SearchStrategy[Any]:
    """Return a strategy for the values of a declared type."""
    while hasattr(declared, "__supertype__"):
        declared = declared.__supertype__
    origin, arguments = typing.get_origin(declared), typing.get_args(declared)
    if declared in _PLAIN:
        return _PLAIN[declared]
    if origin in (types.UnionType, typing.Union):
        return some.one_of(*map(values, arguments))
    if origin is list:
        return some.lists(values(arguments[0]), max_size=3)
    if origin is frozenset:
        return some.frozensets(values(arguments[0]), max_size=3)
    if origin is tuple and arguments[-1] is Ellipsis:
        return some.lists(values(arguments[0]), max_size=3).map(tuple)
    if origin is tuple:
        return some.tuples(*map(values, arguments))
    if isinstance(declared, type) and issubclass(declared, Enum):
        return some.sampled_from(declared)
    assert isinstance(declared, type) and is_dataclass(declared), (
        f"a step has a field of {declared!r}, for which there is no strategy"
    )
    hints = typing.get_type_hints(declared)
    return some.builds(declared, **{field.name: values(hints[field.name]) for field in fields(declared)})
