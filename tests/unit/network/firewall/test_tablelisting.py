"""What a table holds, compared with what was asked for."""

import pytest

from insula.network.firewall.nftwords import DROP, Command, Table, TableFamily
from insula.network.firewall.tablelisting import expected_of, listing_of

TABLE = Table(family=TableFamily.INET, name="t")
ASKED: list[Command] = [
    TABLE.add(),
    TABLE.verdict_map("from"),
    *TABLE.chain("a"),
    TABLE.rule("a", "first", DROP),
    TABLE.rule("a", "second", DROP),
    TABLE.element("from", "br0", "a"),
]
LISTED: list[Command] = [
    {"table": {"family": "inet", "name": "t", "handle": 1}},
    {"map": {"name": "from", "handle": 2, "elem": [["br0", {"jump": {"target": "a"}}]]}},
    {"chain": {"name": "a", "handle": 3}},
    {"rule": {"chain": "a", "handle": 4, "comment": "first", "expr": []}},
    {"rule": {"chain": "a", "handle": 5, "comment": "second", "expr": []}},
]


def test_a_table_that_has_all_holds_it() -> None:
    assert listing_of(LISTED).holds(expected_of(ASKED))


def test_what_others_have_added_beside_it_changes_nothing() -> None:
    more: list[Command] = [*LISTED, {"chain": {"name": "theirs"}}, {"map": {"name": "odd", "elem": [{"elem": 1}]}}]
    assert listing_of(more).holds(expected_of(ASKED))


@pytest.mark.parametrize("missing", range(1, len(LISTED)), ids=["map", "chain with rules", "rule 1", "rule 2"])
def test_whatever_is_missing_is_noticed(missing: int) -> None:
    there = LISTED[:missing] + ([] if missing == 2 else LISTED[missing + 1 :])
    assert not listing_of(there).holds(expected_of(ASKED))


def test_a_rule_that_somebody_has_put_into_a_chain_of_ours_is_noticed() -> None:
    foreign: Command = {"rule": {"chain": "a", "handle": 9, "expr": []}}
    assert not listing_of([*LISTED, foreign]).holds(expected_of(ASKED))


def test_no_table_holds_nothing_but_nothing() -> None:
    assert listing_of([]).holds(expected_of([]))
    assert not listing_of([]).holds(expected_of(ASKED))
