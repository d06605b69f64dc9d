"""From ports' filters to nftables' commands: a golden file, and what must hold for each filter."""

import json

import pytest

from insula.model.builtinfilters import NAMES
from insula.model.nwfilter import FilterDefinition, load_filter
from insula.network.firewall.filterrules import FilterRule, rules_of
from insula.network.firewall.nftwords import Command
from insula.network.firewall.portruleset import made_by, port_commands, port_removal
from tests.rulesets import PORT_TABLE, golden, port_commands_of, port_with

NOUNS = ("element", "chain", "counter", "set")
OWN = """
<filter name='own'>
  <rule action='accept' direction='in'><tcp dstportstart='22'/></rule>
  <rule action='accept' direction='out'><icmp type='8'/></rule>
  <rule action='accept' direction='in'><udp dstportstart='53' srcipaddr='192.0.2.9'/></rule>
  <rule action='reject' direction='inout' priority='900'><all dstipaddr='192.0.2.8'/></rule>
  <rule action='continue' direction='in'/>
</filter>
"""


def own_rules(definition: FilterDefinition) -> tuple[FilterRule, ...]:
    return rules_of(port_with("own"), lambda _name: definition)


def chains(commands: list[Command]) -> dict[str, list[str]]:
    """Return each chain's rules, as texts."""
    listed: dict[str, list[str]] = {}
    for each in commands:
        match each:
            case {"add": {"rule": {"chain": str(chain), "expr": expression}}}:
                listed.setdefault(chain, []).append(json.dumps(expression))
    return listed


def test_the_commands_for_clean_traffic_are_the_recorded_ones() -> None:
    """After an intended change: `python -m tests.rulesets` writes them anew; read the difference."""
    assert port_commands_of("clean-traffic") == json.loads(golden("port-clean-traffic").read_text())


@pytest.mark.parametrize("name", NAMES)
def test_chains_and_counters_are_there_before_a_rule_names_them(name: str) -> None:
    there: set[str] = set()
    for each in port_commands_of(name):
        match each:
            case {"add": {"chain": {"name": made}} | {"counter": {"name": made}} | {"set": {"name": made}}}:
                there.add(made)
            case {"add": {"rule": {"chain": chain, "expr": expression}}}:
                assert chain in there
                for statement in expression:
                    for noun in ("jump", "counter"):
                        if noun in statement:
                            target = statement[noun]
                            assert (target["target"] if noun == "jump" else target) in there


@pytest.mark.parametrize("name", NAMES)
def test_all_that_is_made_for_a_port_can_be_taken_away(name: str) -> None:
    made = made_by(port_commands_of(name))
    removal = port_removal(PORT_TABLE, "vnet0", made)
    deleted = {
        noun: {each["delete"][noun]["name"] for each in removal if noun in each.get("delete", {})} for noun in NOUNS
    }
    assert deleted == {"element": made.maps, "chain": set(made.chains), "counter": made.counters, "set": made.sets}


def test_an_accepting_rule_accepts_the_answers_and_one_for_a_type_of_icmp_does_not() -> None:
    made = chains(port_commands(PORT_TABLE, port_with("own"), own_rules(load_filter(OWN))))
    to, sent = made["packets-to/vnet0"], made["packets-from/vnet0"]
    assert '["new", "established"]' in to[0]
    assert '"field": "dport"' in to[0]
    assert '"established"' in sent[0]
    assert '"field": "sport"' in sent[0]
    assert [each for each in to if "icmp" in each] == []
    assert any('"daddr"' in each and "sport" in each for each in sent)


def test_a_rule_for_both_ways_says_what_comes_and_is_turned_around_for_what_is_sent() -> None:
    made = chains(port_commands(PORT_TABLE, port_with("own"), own_rules(load_filter(OWN))))
    assert '"field": "daddr"}}, "right": "192.0.2.8"' in made["packets-to/vnet0"][-1]
    assert '"field": "saddr"}}, "right": "192.0.2.8"' in made["packets-from/vnet0"][-1]


def test_a_refusal_is_told_to_the_guest_alone() -> None:
    made = chains(port_commands(PORT_TABLE, port_with("own"), own_rules(load_filter(OWN))))
    assert '{"reject": null}' in made["packets-from/vnet0"][-1]
    assert '{"drop": null}' in made["packets-to/vnet0"][-1]


def test_rules_without_state_look_at_no_connection() -> None:
    stateless = OWN.replace("direction='in'>", "direction='in' statematch='false'>")
    made = chains(port_commands(PORT_TABLE, port_with("own"), own_rules(load_filter(stateless))))
    assert not [each for rules in made.values() for each in rules if '"ct"' in each]


def test_chains_are_led_to_in_the_order_of_their_priorities() -> None:
    root = chains(port_commands_of("clean-traffic"))["frames-from/vnet0"]
    order = [each for each in root if "jump" in each]
    names = [each.partition("frames-from/vnet0/")[2].partition('"')[0] for each in order]
    assert names == ["mac", "ipv4-ip", "arp-mac", "arp-ip", "rarp"]


def test_a_port_that_is_filtered_by_nothing_has_nothing() -> None:
    nothing = load_filter("<filter name='own'/>")
    assert port_commands(PORT_TABLE, port_with("own"), own_rules(nothing)) == []


def test_first_fragments_show_what_they_carry_where_a_rule_drops_by_that() -> None:
    def made_of(rule: str) -> dict[str, list[str]]:
        xml = f"<filter name='own'><rule action='drop' direction='out'>{rule}</rule></filter>"
        return chains(port_commands(PORT_TABLE, port_with("own"), own_rules(load_filter(xml))))

    chain = "frames-from/vnet0/hidden-fragments"
    assert len(made_of("<icmpv6 type='134'/>")[chain]) == 2
    assert chain not in made_of("<ipv6 srcipaddr='2001:db8::1'/>")
