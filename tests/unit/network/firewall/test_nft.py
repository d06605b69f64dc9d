"""Transactions by a program that stands in for nft."""

import json
from pathlib import Path

import pytest

from insula.errors import OperationFailedError, OperationTimeoutError, OperationUnsupportedError
from insula.network.firewall import nft
from insula.network.firewall.nft import Nft
from insula.network.firewall.nftwords import DROP, Table, TableFamily

TABLE = Table(family=TableFamily.INET, name="t")
COMMANDS = [TABLE.add(), *TABLE.chain("c"), TABLE.rule("c", "one", DROP), TABLE.rule("c", "two", DROP), TABLE.delete()]


class StandIn:
    """A program of the name nft. text: what it is, in Python; it has `arguments` and `given`, its standard input."""

    def __init__(self, directory: Path) -> None:
        self._program = directory / "nft"

    def does(self, text: str) -> None:
        head = "#!/usr/bin/env python3\nimport sys, json, time\narguments, given = sys.argv[1:], sys.stdin.read()\n"
        self._program.write_text(head + text)
        self._program.chmod(0o755)


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    monkeypatch.setattr(nft, "_PATH", f"{tmp_path}:/usr/bin:/bin")
    return StandIn(tmp_path)


def test_all_commands_go_into_one_transaction(program: StandIn, tmp_path: Path) -> None:
    program.does(f"open({str(tmp_path / 'given')!r}, 'a').write(given + '\\n')")
    Nft().perform(COMMANDS, "rules")
    assert [json.loads(each) for each in (tmp_path / "given").read_text().splitlines()] == [{"nftables": COMMANDS}]


def test_an_error_names_the_rule_that_is_refused(program: StandIn) -> None:
    program.does(
        "rules = [each.get('add', {}).get('rule', {}) for each in json.loads(given)['nftables']]\n"
        "if any(each.get('comment') == 'two' for each in rules):\n"
        "    sys.exit('internal:0:0-0: Error: Could not process rule: Operation not supported\\n\\n')"
    )
    with pytest.raises(OperationFailedError) as caught:
        Nft().perform(COMMANDS, "rules of the network 'n'")
    assert str(caught.value) == "rules of the network 'n': the rule \"two\" of c: Operation not supported"


def test_what_is_fine_by_the_time_it_is_looked_at_again_blames_no_rule(program: StandIn) -> None:
    program.does("if '-c' not in arguments:\n    sys.exit('Error: Device or resource busy')")
    with pytest.raises(OperationFailedError, match=r"^rules: Device or resource busy$"):
        Nft().perform(COMMANDS, "rules")


def test_a_table_that_is_not_there_lists_nothing(program: StandIn) -> None:
    program.does("sys.exit('Error: No such file or directory; did you mean table ‘x’ in family inet?')")
    assert Nft().listed_table(TABLE) == []


def test_any_other_failure_to_list_is_told(program: StandIn) -> None:
    program.does("sys.exit('Error: Operation not permitted')")
    with pytest.raises(OperationFailedError, match=r"cannot list .* table inet t: Operation not permitted"):
        Nft().listed_table(TABLE)


def test_a_program_that_does_not_end_is_given_up(program: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nft, "_PATIENCE", 0.3)
    program.does("time.sleep(60)")
    with pytest.raises(OperationTimeoutError):
        Nft().perform(COMMANDS, "rules")


def test_a_host_without_nft_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nft, "_PATH", str(tmp_path))
    with pytest.raises(OperationUnsupportedError, match="install the package nftables"):
        Nft().perform(COMMANDS, "rules")
