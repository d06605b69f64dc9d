"""From networks' rules to nftables' commands: golden files, and what must hold for each."""

import json

import pytest

from insula.network.firewall.networkrules import NetworkRules, Reach
from insula.network.firewall.ruleset import chains_named, chains_of
from tests.rulesets import CASES, commands_of, golden


@pytest.mark.parametrize("name", CASES)
def test_the_commands_are_the_recorded_ones(name: str) -> None:
    """After an intended change: `python -m tests.rulesets` writes them anew; read the difference."""
    assert commands_of(CASES[name]) == json.loads(golden(name).read_text())


@pytest.mark.parametrize("rules", CASES.values(), ids=CASES)
def test_rules_stand_in_chains_of_the_network_that_are_flushed_before(rules: NetworkRules) -> None:
    flushed: set[str] = set()
    for command in commands_of(rules):
        match command:
            case {"flush": {"chain": {"name": name}}}:
                flushed.add(name)
            case {"add": {"rule": {"chain": name}}}:
                assert name in flushed
    assert flushed == {"forward", *chains_of(rules)}
    assert chains_of(rules).keys() <= chains_named(rules.name)


@pytest.mark.parametrize("rules", CASES.values(), ids=CASES)
def test_every_rule_says_what_it_is_for(rules: NetworkRules) -> None:
    comments = [each["add"]["rule"]["comment"] for each in commands_of(rules) if "rule" in each.get("add", {})]
    assert all(comments)


@pytest.mark.parametrize("rules", CASES.values(), ids=CASES)
def test_what_is_not_allowed_is_refused_both_ways_unless_the_network_is_open(rules: NetworkRules) -> None:
    last: dict[str, object] = {}
    for command in commands_of(rules):
        match command:
            case {"add": {"rule": {"chain": str(chain), "expr": [*_, verdict]}}}:
                last[chain.partition("/")[0]] = verdict
    refusing = {chain for chain, verdict in last.items() if isinstance(verdict, dict) and "reject" in verdict}
    assert refusing == (set() if rules.reach is Reach.OPEN else {"from", "to"})
