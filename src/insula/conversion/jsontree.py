"""Documents that are trees of JSON's kinds: taken apart by the places that a table knows, and put together again."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from insula.conversion.foreigndocument import ForeignEntry
from insula.conversion.keytable import KeyTable
from insula.engine.codec import loads
from insula.errors import InvalidArgumentError

DEPTH_MAX = 16
"""Objects within objects on the way to a place that a table knows."""


def parsed(text: str) -> dict[str, Any]:
    """Return the object that a document is. Raises: InvalidArgumentError if it is none."""
    try:
        tree = loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidArgumentError(f"the configuration is not JSON: {str(error)[:200]}") from error
    if not isinstance(tree, dict):
        raise InvalidArgumentError("the configuration is no JSON object")
    return tree


def tree_entries(tree: dict[str, Any], table: KeyTable, *, above: str = "", depth: int = 0) -> Iterator[ForeignEntry]:
    """Yield what a tree says at each place that table has a row for, and whatever else is no object; values are JSON.

    Raises: InvalidArgumentError for a tree that is too deep.
    """
    if depth > DEPTH_MAX:
        raise InvalidArgumentError(f"the configuration nests deeper than {DEPTH_MAX} levels")
    for name, value in tree.items():
        place = f"{above}{name}"
        if value is None:
            continue
        if isinstance(value, dict) and value and table.find(place) is None:
            yield from tree_entries(value, table, above=f"{place}.", depth=depth + 1)
        else:
            yield ForeignEntry(key=place, value=json.dumps(value))


def put_together(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return the tree that has these values, JSON as well, at their places."""
    tree: dict[str, Any] = {}
    for place, value in pairs:
        *path, last = place.split(".")
        branch = tree
        for name in path:
            branch = branch.setdefault(name, {})
        branch[last] = json.loads(value)
    return tree


def text_at(value: object) -> str:
    """Return a text. Raises: ValueError."""
    if not isinstance(value, str) or "\0" in value:
        raise ValueError("no text")
    return value


def number_at(value: object, lowest: int = -(2**63), highest: int = 2**64 - 1) -> int:
    """Return a whole number. Raises: ValueError."""
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise ValueError(f"no whole number from {lowest} to {highest}")
    return value


def texts_at(value: object) -> tuple[str, ...]:
    """Return texts. Raises: ValueError."""
    if not isinstance(value, list):
        raise ValueError("no list")
    return tuple(map(text_at, value))


def objects_at(value: object) -> tuple[dict[str, Any], ...]:
    """Return objects. Raises: ValueError."""
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise ValueError("no list of objects")
    return tuple(value)


def mapping_at(value: object) -> dict[str, str]:
    """Return texts by their names. Raises: ValueError."""
    if not isinstance(value, dict):
        raise ValueError("no object")
    return {text_at(name): text_at(text) for name, text in value.items()}
