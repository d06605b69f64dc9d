"""Notices of changes of rules, read."""

from collections.abc import Iterator
from contextlib import closing
from socket import socket

import pytest

from insula.network.firewall.rulenotices import RuleChange, RuleNotices
from tests import rulesocket
from tests.rulesocket import generation, of_table


@pytest.fixture
def sockets() -> Iterator[tuple[RuleNotices, socket]]:
    ours, theirs = rulesocket.pair()
    with closing(RuleNotices(ours)) as notices, theirs:
        yield notices, theirs


def test_a_transaction_is_told_once_it_is_whole_with_its_tables_and_who_made_it(
    sockets: tuple[RuleNotices, socket],
) -> None:
    notices, kernel = sockets
    kernel.send(of_table("insula") + of_table("filter"))
    assert list(notices.read()) == []
    kernel.send(of_table("insula", rulesocket.DELETED_TABLE) + generation(42, "firewalld"))
    assert list(notices.read()) == [RuleChange(tables=frozenset({"insula", "filter"}), process=42, program="firewalld")]


def test_several_transactions_stay_apart(sockets: tuple[RuleNotices, socket]) -> None:
    notices, kernel = sockets
    kernel.send(of_table("one") + generation(1) + of_table("two") + generation(2))
    assert [(each.tables, each.process) for each in notices.read()] == [
        (frozenset({"one"}), 1),
        (frozenset({"two"}), 2),
    ]


def test_what_is_of_another_subsystem_or_cut_short_tells_nothing(sockets: tuple[RuleNotices, socket]) -> None:
    notices, kernel = sockets
    kernel.send(rulesocket.notice(8, (1, b"insula\0"), subsystem=1) + generation())
    kernel.send(b"\0" * 20)
    assert list(notices.read()) == [RuleChange(tables=frozenset(), process=7, program="nft")]
