"""The table of ports over an nft that stands in; what it does to the kernel is in tests/system/test_port_filters.py."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from insula.errors import OperationFailedError, OperationUnsupportedError
from insula.network.firewall.nft import Nft
from insula.network.firewall.nftwords import Command
from insula.network.firewall.porttable import PortTable
from tests.rulesets import PORT_TABLE, found, port_with


class RecordingNft(Nft):
    """Keeps transactions; fails those whose number is in `refusals`, with that text."""

    def __init__(self) -> None:
        super().__init__()
        self.transactions: list[Sequence[Command]] = []
        self.refusals: dict[int, str] = {}
        self.table: list[dict[str, Any]] = []
        self.listings = 0

    def perform(self, commands: Sequence[Command], subject: str) -> None:
        number = len(self.transactions)
        self.transactions.append(commands)
        if number in self.refusals:
            raise OperationFailedError(f"{subject}: {self.refusals[number]}")

    def listed(self, *what: str) -> list[dict[str, Any]]:
        self.listings += 1
        return self.table


def test_the_table_is_looked_at_once_and_then_known() -> None:
    nft = RecordingNft()
    table = PortTable(PORT_TABLE, nft, found)
    table.protect([port_with("clean-traffic")])
    table.protect([port_with("allow-arp")])
    assert nft.listings == 1
    gone = {each["delete"]["chain"]["name"] for each in nft.transactions[1] if "chain" in each.get("delete", {})}
    assert "frames-from/vnet0/mac" in gone
    table.release(["vnet0"])
    assert nft.transactions[2] == [PORT_TABLE.delete()]
    assert nft.listings == 1


def test_a_port_without_a_filter_is_released_without_a_word() -> None:
    nft = RecordingNft()
    PortTable(PORT_TABLE, nft, found).release(["vnet7"])
    assert nft.transactions == []


def test_what_an_earlier_daemon_has_left_of_a_port_goes_with_it() -> None:
    nft = RecordingNft()
    nft.table = [
        {"map": {"name": "frames-from", "elem": [["vnet0", {"jump": {"target": "frames-from/vnet0"}}]]}},
        {"chain": {"name": "sent-frames"}},
        {"chain": {"name": "frames-from/vnet0"}},
        {"chain": {"name": "frames-from/vnet1"}},
        {"counter": {"name": "dropped/vnet0/mac"}},
    ]
    PortTable(PORT_TABLE, nft, found).release(["vnet0"])
    assert nft.transactions == [
        [
            PORT_TABLE.delete_element("frames-from", "vnet0"),
            PORT_TABLE.flush_chain("frames-from/vnet0"),
            PORT_TABLE.delete_chain("frames-from/vnet0"),
            PORT_TABLE.delete_counter("dropped/vnet0/mac"),
        ]
    ]


def test_a_release_of_what_somebody_has_flushed_is_done() -> None:
    nft = RecordingNft()
    table = PortTable(PORT_TABLE, nft, found)
    table.protect([port_with("allow-arp")])
    nft.refusals = {1: "No such file or directory"}
    table.release(["vnet0"])
    assert len(nft.transactions) == 2


def test_a_kernel_that_tracks_no_connections_over_bridges_is_told_with_what_to_do() -> None:
    nft = RecordingNft()
    nft.refusals = {0: "Protocol error"}
    with pytest.raises(OperationUnsupportedError, match=r"nf_conntrack_bridge.*statematch='false'"):
        PortTable(PORT_TABLE, nft, found).protect([port_with("allow-arp")])


def test_a_filter_that_has_changed_is_put_before_every_port() -> None:
    nft = RecordingNft()
    table = PortTable(PORT_TABLE, nft, found)
    table.refilter()
    assert nft.transactions == []
    table.protect([port_with("allow-arp")])
    table.refilter()
    assert nft.transactions[1] == nft.transactions[0]
    assert table.filters() == {"allow-arp"}


def listed(commands: Sequence[Command]) -> list[dict[str, Any]]:
    """Return what a table would tell behind these commands."""
    maps: dict[str, dict[str, Any]] = {}
    told: list[dict[str, Any]] = []
    for each in commands:
        for noun, said in each.get("add", {}).items():
            if noun == "element":
                maps[said["name"]]["elem"] += said["elem"]
            elif noun == "map":
                maps[said["name"]] = {"name": said["name"], "elem": []}
                told.append({"map": maps[said["name"]]})
            else:
                told.append({noun: said})
    return told


def test_what_the_daemon_before_has_left_is_taken_over_as_it_is() -> None:
    before = RecordingNft()
    PortTable(PORT_TABLE, before, found).protect([port_with("clean-traffic")])
    nft = RecordingNft()
    nft.table = listed(before.transactions[0])
    table = PortTable(PORT_TABLE, nft, found)
    table.protect([port_with("clean-traffic")])
    assert nft.transactions == []
    table.protect([port_with("clean-traffic")])
    assert len(nft.transactions) == 1


def test_a_filter_whose_values_have_changed_is_not_taken_for_what_was_left() -> None:
    before = RecordingNft()
    PortTable(PORT_TABLE, before, found).protect([port_with("no-mac-spoofing")])
    nft = RecordingNft()
    nft.table = listed(before.transactions[0])
    PortTable(PORT_TABLE, nft, found).protect([replace(port_with("no-mac-spoofing"), mac="52:54:00:00:00:02")])
    assert len(nft.transactions) == 1


def test_what_is_there_as_it_was_is_not_put_back_and_what_is_not_is() -> None:
    nft = RecordingNft()
    table = PortTable(PORT_TABLE, nft, found)
    table.protect([port_with("clean-traffic")])
    nft.table = listed(nft.transactions[0])
    assert table.restore() == ()
    nft.table = [each for each in nft.table if each.get("rule", {}).get("chain") != "frames-from/vnet0/mac"]
    assert table.restore() == ("the filter of the port 'vnet0'",)
    nft.table = []
    assert table.restore() == ("the filter of the port 'vnet0'",)
    assert len(nft.transactions) == 3
