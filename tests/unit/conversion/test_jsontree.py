from collections.abc import Callable

import pytest

from insula.conversion.domaindraft import DomainDraft
from insula.conversion.foreigndocument import ForeignEntry
from insula.conversion.jsontree import (
    DEPTH_MAX,
    mapping_at,
    number_at,
    objects_at,
    parsed,
    put_together,
    text_at,
    texts_at,
    tree_entries,
)
from insula.conversion.keytable import ForeignKey, KeyTable
from insula.errors import InvalidArgumentError


def _read(draft: DomainDraft, entry: ForeignEntry) -> None:
    """Takes nothing."""


TABLE = KeyTable((ForeignKey(name="a.b", read=_read), ForeignKey(name="c.*", why="x")), unknown="the manual")


def test_a_tree_is_taken_apart_where_the_table_knows_its_places() -> None:
    tree = {"a": {"b": {"x": 1}, "d": [2]}, "c": {"e": True}, "f": None}
    found = [(each.key, each.value) for each in tree_entries(tree, TABLE)]
    assert found == [("a.b", '{"x": 1}'), ("a.d", "[2]"), ("c.e", "true")]


def test_a_tree_is_put_together_from_its_places() -> None:
    assert put_together([("a.b", "1"), ("a.c", "[true]"), ("d", '"x"')]) == {"a": {"b": 1, "c": [True]}, "d": "x"}


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, "1"])
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError):
        parsed(text)


def test_a_tree_has_a_depth() -> None:
    tree: dict[str, object] = {}
    for _ in range(DEPTH_MAX + 2):
        tree = {"x": tree, "y": 1}
    with pytest.raises(InvalidArgumentError, match="deeper"):
        list(tree_entries(tree, TABLE))


def test_values_are_of_their_kinds() -> None:
    assert (text_at("a"), number_at(3), texts_at(["a"]), objects_at([{}])) == ("a", 3, ("a",), ({},))
    assert mapping_at({"a": "b"}) == {"a": "b"}
    for read, value in ((text_at, 1), (text_at, "\0"), (number_at, True), (number_at, 1.5), (number_at, "1")):
        with pytest.raises(ValueError, match="no "):
            read(value)
    groups: tuple[tuple[Callable[[object], object], object], ...] = (
        (texts_at, "a"),
        (objects_at, [1]),
        (objects_at, {}),
        (mapping_at, {"a": 1}),
    )
    for read_many, group in groups:
        with pytest.raises(ValueError, match="no "):
            read_many(group)
